"""Losses."""

from backends import cross_entropy as kernels
from vqv2.autodiff import differentiable


@differentiable
def cross_entropy(logits, targets):
    """-log softmax(logits)[target] in nats per code: (..., K), integers (...) -> (...)."""
    rows = logits.reshape(-1, logits.shape[-1])
    codes = targets.reshape(-1)
    losses = kernels.cross_entropy(rows, codes).reshape(targets.shape)

    def gradient(dy):
        d_rows = kernels.cross_entropy_gradient(rows, codes, dy.reshape(-1))
        return d_rows.reshape(logits.shape), None

    return losses, gradient


@differentiable
def mean_squared_error(a, b):
    """Mean over all elements of (a - b)^2, of two arrays of one shape; a number."""
    difference = a - b
    scale = 2 / difference.size

    def gradient(dy):
        return lambda: difference * (dy * scale), lambda: difference * (dy * -scale)

    return (difference * difference).mean(), gradient
