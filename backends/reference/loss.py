"""The losses of the two stages: mean squared error, and softmax cross-entropy in nats per code."""

from backends.arrays import array_module
from backends.reference.quantize import require_codes


def mean_squared_error(a, b):
    """Mean over all elements of (a - b)^2: a number, for arrays of one shape that is not empty."""
    difference = a - b
    return (difference * difference).mean()


def mean_squared_error_gradient(a, b, d_error):
    """Gradient with respect to a, (a - b) * 2 d_error / size; d_error is a number on its own."""
    return (a - b) * (d_error * (2 / a.size))


def cross_entropy(logits, targets):
    """-log softmax(logits)[target] per row, in nats: (M, K), (M,) integers -> (M,).

    Raises `IndexError` for a target outside 0 ... K - 1, as does the gradient.
    """
    require_codes(targets, logits.shape[-1])
    xp = array_module(logits)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = xp.take_along_axis(shifted, targets[:, None], axis=-1)[:, 0]
    return xp.log(xp.exp(shifted).sum(axis=-1)) - chosen


def cross_entropy_gradient(logits, targets, d_losses):
    """(softmax(logits) - one_hot(targets)) * d_losses per row: -> (M, K)."""
    require_codes(targets, logits.shape[-1])
    xp = array_module(logits)
    weights = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = weights / weights.sum(axis=-1, keepdims=True)
    one_hot = targets[:, None] == xp.arange(logits.shape[-1])
    return (probabilities - one_hot) * d_losses[:, None]
