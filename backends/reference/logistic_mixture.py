"""Discretised mixtures of logistics over vectors: the loss of a prior over continuous latents.

Each of D numbers is one of `bins` bins, whose centres are spread evenly from -1 to 1. With K
components and the logistic function S(u) = 1 / (1 + e^-u), the probability of a vector x of bin
centres is

    p(x) = sum_k pi_k prod_d [S(upper_dk) - S(lower_dk)]
    upper, lower = (x_d +- w - mean_dk) / e^log_scale_dk        w = 1 / (bins - 1), half a bin
    mean_dk = m_dk + sum_{j < d} c_djk x_j                      linear, causal over dimensions

where the first bin reaches down to minus infinity and the last one up to infinity, so that the
probabilities of all bins sum to one. All of it is computed in logarithms, from

    S(upper) - S(lower) = S(upper) S(-lower) (1 - e^-(upper - lower)),

which holds its precision at both ends: an edge bin lacks one of the first two factors and the
third, and nothing else is special about it.

Parameters are (M, P): K logits of pi, then m (D, K), log_scale (D, K), and c (D (D - 1) / 2, K)
with the pairs (d, j) in the order (1, 0), (2, 0), (2, 1), ...
"""

import math

from backends.arrays import array_module
from backends.reference.quantize import require_codes

# Where a scale stops falling: a bin of 256 then holds 97 % of a component that is centred on it.
# Without a limit, one number far from where all others lie would cost without bound.
LOWEST_LOG_SCALE = -7.0


def parameter_count(dimensions, components):
    """P, the numbers that describe one vector's distribution."""
    return components * (1 + 2 * dimensions + dimensions * (dimensions - 1) // 2)


def bin_centres(targets, bins, dtype):
    """Bins 0 ... bins - 1 -> the numbers they stand for, evenly spread over [-1, 1]."""
    return targets.astype(dtype) * (2 / (bins - 1)) - 1


def logistic_mixture(parameters, targets, components, bins):
    """-log p(x) per vector, in nats: (M, P), bins (M, D) -> (M,).

    Raises `IndexError` for a bin outside 0 ... bins - 1, as does the gradient.
    """
    require_codes(targets, bins)
    xp = array_module(parameters)
    logits, *rest = _split(parameters, targets.shape[1], components)
    likelihoods = _log_likelihoods(xp, *_standardized(*rest, targets, bins))
    return _log_sum_exp(xp, logits) - _log_sum_exp(xp, logits + likelihoods)


def logistic_mixture_gradient(parameters, targets, d_losses, components, bins):
    """Gradient of `logistic_mixture` with respect to its parameters: -> (M, P).

    With the posterior r_k of the components, every log-likelihood has the cotangent -r_k, and

        d log(S(upper) - S(lower)) / d mean      = (S(lower) - S(-upper)) / scale
        d log(S(upper) - S(lower)) / d log_scale = S(lower) lower - S(-upper) upper
                                                   - delta / (e^delta - 1),   delta = upper - lower
    """
    require_codes(targets, bins)
    xp = array_module(parameters)
    logits, means, log_scales, coefficients = _split(parameters, targets.shape[1], components)
    edges = _standardized(means, log_scales, coefficients, targets, bins)
    upper, lower, delta, above, below = edges
    posterior = _softmax(xp, logits + _log_likelihoods(xp, *edges))
    d_likelihood = (-posterior * d_losses[:, None])[:, None]
    from_above = xp.exp(_log_sigmoid(xp, -upper)) * above  # S(-upper) where there is a factor
    from_below = xp.exp(_log_sigmoid(xp, lower)) * below
    width = above * below * delta * xp.exp(-delta) / -xp.expm1(-delta)
    scales = xp.exp(xp.maximum(log_scales, LOWEST_LOG_SCALE))
    d_means = d_likelihood * (from_below - from_above) / scales
    d_log_scales = d_likelihood * (from_below * lower - from_above * upper - width)
    d_log_scales = d_log_scales * (log_scales >= LOWEST_LOG_SCALE)
    x = bin_centres(targets, bins, parameters.dtype)
    d_coefficients = [d_means[:, d : d + 1] * x[:, :d, None] for d in range(1, x.shape[1])]
    d_logits = (_softmax(xp, logits) - posterior) * d_losses[:, None]
    parts = [d_logits, d_means, d_log_scales, *d_coefficients]
    return xp.concatenate([p.reshape(len(x), math.prod(p.shape[1:])) for p in parts], axis=1)


def _split(parameters, dimensions, components):
    """(logits (M, K), means (M, D, K), log scales (M, D, K), coefficients (M, pairs, K))."""
    rows, end = len(parameters), components * (1 + dimensions)
    pairs = dimensions * (dimensions - 1) // 2
    return (
        parameters[:, :components],
        parameters[:, components:end].reshape(rows, dimensions, components),
        parameters[:, end : end + dimensions * components].reshape(rows, dimensions, components),
        parameters[:, end + dimensions * components :].reshape(rows, pairs, components),
    )


def _standardized(means, log_scales, coefficients, targets, bins):
    """(upper, lower, their difference), (M, D, K), and whether bins are (above, below), (M, D, 1).

    The difference is not computed as one: far from the mean it would be lost in rounding.
    """
    xp = array_module(means)
    x = bin_centres(targets, bins, means.dtype)
    shifts = [xp.zeros_like(means[:, 0])]
    for d in range(1, x.shape[1]):
        earlier = coefficients[:, d * (d - 1) // 2 : d * (d + 1) // 2]
        shifts.append((earlier * x[:, :d, None]).sum(axis=1))
    centred = x[:, :, None] - means - xp.stack(shifts, axis=1)
    inverse, half = xp.exp(-xp.maximum(log_scales, LOWEST_LOG_SCALE)), 1 / (bins - 1)
    above = (targets < bins - 1)[:, :, None].astype(means.dtype)
    below = (targets > 0)[:, :, None].astype(means.dtype)
    return (
        (centred + half) * inverse,
        (centred - half) * inverse,
        2 * half * inverse,
        above,
        below,
    )


def _log_likelihoods(xp, upper, lower, delta, above, below):
    """log p(x | component), (M, K): the sum over dimensions of log(S(upper) - S(lower))."""
    terms = _log_sigmoid(xp, upper) * above + _log_sigmoid(xp, -lower) * below
    return (terms + xp.log(-xp.expm1(-delta)) * (above * below)).sum(axis=1)


def _log_sigmoid(xp, x):
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


def _log_sum_exp(xp, x):
    peak = x.max(axis=-1, keepdims=True)
    return xp.log(xp.exp(x - peak).sum(axis=-1)) + peak[:, 0]


def _softmax(xp, x):
    weights = xp.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
