"""Strictly causal attention over the positions of a map in raster order (section A.2).

Position i attends to positions j < i only; position 0 attends to nothing and gets exactly zero
(not a uniform average, which would leak the future). Shapes: queries and keys (..., L, d), values
(..., L, e), such as (images, heads, L, d). Logits are q . k / sqrt(d).

Dropout, as the supplement words it, is "on the logits of each attention matrix": dropped logits
become zero, the others are scaled, *then* the causal mask is applied (`dropout_on="logits"`).
`dropout_on="weights"` drops attention weights after the softmax instead. The element (b, i, j)
is number (b * L + i) * L + j of the hash in `elementwise.keep`, where b counts images times heads.

Here the L x L weights are held in memory. No other version does: they go over tiles of pairs, and
the backward pass computes weights again from `log_normalizer`, the log of each softmax denominator.
"""

import math

from backends.arrays import array_module
from backends.reference.elementwise import keep


def _masks(queries, rate, seed):
    """(causal mask (L, L), dropout factors (..., L, L): 0 or 1 / (1 - rate))."""
    xp, (*many, length, _) = array_module(queries), queries.shape
    causal = xp.tril(xp.ones((length, length), bool), k=-1)
    if rate == 0:
        return causal, queries.dtype.type(1)
    index = xp.arange(math.prod(many) * length**2, dtype=xp.uint64)
    kept = keep(seed, index.reshape(*many, length, length), rate)
    return causal, kept * queries.dtype.type(1 / (1 - rate))


def _weights(xp, logits, causal):
    """Softmax over the allowed positions, exactly zero elsewhere, and log of its denominator."""
    lowest = xp.finfo(logits.dtype).min
    peak = xp.where(causal, logits, lowest).max(axis=-1, keepdims=True, initial=lowest)
    weights = xp.where(causal, xp.exp(xp.where(causal, logits - peak, 0)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    safe = xp.where(total == 0, 1, total)  # row 0 is empty: its weights stay exactly zero
    log_normalizer = xp.where(total == 0, 0, xp.log(safe) + peak)
    return weights / safe, log_normalizer[..., 0]


def causal_attention(queries, keys, values, rate, seed, dropout_on):
    """Attended values (..., L, e) and log_normalizer (..., L)."""
    xp = array_module(queries)
    causal, factors = _masks(queries, rate, seed)
    logits = queries @ keys.swapaxes(-1, -2) / math.sqrt(queries.shape[-1])
    if dropout_on == "logits":
        logits = logits * factors
    weights, log_normalizer = _weights(xp, logits, causal)
    if dropout_on == "weights":
        weights = weights * factors
    return weights @ values, log_normalizer


def causal_attention_gradient(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    """Gradients with respect to queries, keys and values, of the same shapes.

    With weights P = softmax(S), S = F * (Q K^T) / sqrt(d) and factors F of the dropout:
    dP = dO V^T, dS = P * (dP - sum(dO * O)), dQ = (F * dS) K / sqrt(d), dK likewise, dV = P^T dO.
    """
    xp = array_module(queries)
    causal, factors = _masks(queries, rate, seed)
    on_logits = factors if dropout_on == "logits" else 1
    on_weights = factors if dropout_on == "weights" else 1
    scale = 1 / math.sqrt(queries.shape[-1])
    logits = queries @ keys.swapaxes(-1, -2) * scale * on_logits
    weights, _ = _weights(xp, logits, causal)
    d_weights = d_output @ values.swapaxes(-1, -2) * on_weights
    d_logits = weights * (d_weights - (d_output * output).sum(-1, keepdims=True))
    d_logits = d_logits * on_logits * scale
    d_values = (weights * on_weights).swapaxes(-1, -2) @ d_output
    return d_logits @ keys, d_logits.swapaxes(-1, -2) @ queries, d_values
