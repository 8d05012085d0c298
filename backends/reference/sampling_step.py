"""What sampling one more position is made of: products of few rows with large weights (section F).

Weights are read, once, as `packing.prepare_weights` lays them out; what follows a product is done
while its results are still in the cache.

Shapes: x (M, K), weights (K, D), M being the number of images sampled side by side, or of all
positions of a row of theirs.
"""

import math

from backends.arrays import array_module
from backends.reference.elementwise import elu, gate
from backends.reference.packing import matrix


def affine(x, w, offset, activated):
    """x W + offset, then ELU where `activated`: (M, K), prepared (K, D), (M, D) -> (M, D)."""
    y = x @ matrix(w, offset.shape[-1]).astype(x.dtype) + offset
    return elu(y) if activated else y


def affine_gate(x, w, offset, residual):
    """residual + gate(x W + offset), and ELU of that, which the next layer reads.

    (M, K), prepared with halves (K, 2C), (M, 2C), (M, C) -> two of (M, C). [a, b] = x W + offset
    is a sigmoid(b), as in `elementwise.gate`.
    """
    weights = matrix(w, offset.shape[-1], 2).astype(x.dtype)
    y = residual + gate(x @ weights + offset)
    return y, elu(y)


def attend(query, keys, values, count):
    """Attention of one position to the first `count` positions: (M, heads, d) -> the same shape.

    keys, values: (M, heads, L, d). softmax(q . k / sqrt(d)) v; without any position exactly zero.
    """
    xp = array_module(query)
    if count == 0:
        return xp.zeros_like(query)
    keys, values = keys[:, :, :count], values[:, :, :count]
    logits = (keys @ query[..., None])[..., 0] / math.sqrt(query.shape[-1])
    weights = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return (weights[:, :, None] @ values)[:, :, 0]
