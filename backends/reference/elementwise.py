"""Additions, activations, gates and dropout: elementwise work.

Arrays may have any shape; the last axis is the channel axis where there is one. All kernels keep
the dtype of their first argument.
"""

import numpy as np

from backends.arrays import array_module, rows_of
from backends.reference.hashing import hashed


def add(a, b):
    """a + b, of arrays or numbers whose shapes broadcast."""
    return a + b


def relu(x):
    """max(x, 0), elementwise."""
    return array_module(x).maximum(x, 0)


def relu_gradient(y, dy, onto=None):
    """Gradient of `relu` from its output `y`, added to `onto`: dy where y > 0, else 0."""
    dx = array_module(y).where(y > 0, dy, dy.dtype.type(0))
    return dx if onto is None else onto + dx


def elu(x):
    """x where x > 0, else exp(x) - 1 (ELU with alpha = 1), elementwise."""
    xp = array_module(x)
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))


def elu_gradient(y, dy, onto=None):
    """Gradient of `elu` from its output `y`, added to `onto`: dy * (1 where y > 0, else y + 1)."""
    dx = dy * array_module(y).where(y > 0, y.dtype.type(1), y + 1)
    return dx if onto is None else onto + dx


def biased_relu(x, bias):
    """relu(x + bias): (..., C), (C,) -> (..., C)."""
    return relu(x + bias)


def biased_relu_gradient(y, dy):
    """Gradients of `biased_relu` with respect to x and to the bias, from its output `y`."""
    dx = relu_gradient(y, dy)
    return dx, rows_of(dx).sum(axis=0)


def biased_elu(x, bias):
    """elu(x + bias): (..., C), (C,) -> (..., C)."""
    return elu(x + bias)


def biased_elu_gradient(y, dy):
    """Gradients of `biased_elu` with respect to x and to the bias, from its output `y`."""
    dx = elu_gradient(y, dy)
    return dx, rows_of(dx).sum(axis=0)


def sigmoid(x):
    """1 / (1 + exp(-x)), elementwise, without overflow for any finite x."""
    xp = array_module(x)
    decay = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + decay), decay / (1 + decay))


def gate(x):
    """a * sigmoid(b) for x = [a, b] split in halves along the channels: (..., 2C) -> (..., C)."""
    a, b = array_module(x).split(x, 2, axis=-1)
    return a * sigmoid(b)


def gate_gradient(x, dy):
    """Gradient of `gate` with respect to x: (..., 2C), (..., C) -> (..., 2C)."""
    xp = array_module(x)
    a, b = xp.split(x, 2, axis=-1)
    s = sigmoid(b)
    return xp.concatenate([dy * s, dy * a * s * (1 - s)], axis=-1)


def keep(seed, index, rate):
    """Whether dropout keeps the elements numbered `index` (uint64): a boolean array.

    The decision is a hash of (seed, index), so that no mask is ever stored: forward and backward
    pass, and every backend, recompute it.
    """
    return hashed(np.uint64(seed), index) >= _threshold(rate)


def dropout_numbers(rate, seed, dtype):
    """Dropout in numbers for loops: what the hash of `keep` must reach, the seed, the factor."""
    return _threshold(rate), np.uint64(seed), dtype.type(1 / (1 - rate))


def _threshold(rate):
    return np.uint64(int(rate * 2**24) << 40)  # the upper 24 bits of a hash decide


def dropout(x, rate, seed):
    """Zero each element with probability `rate`, scale the others by 1 / (1 - rate).

    Which ones is decided by `keep(seed, position)`; the gradient is the same map applied to dy.
    """
    xp = array_module(x)
    kept = keep(seed, xp.arange(x.size, dtype=xp.uint64), rate).reshape(x.shape)
    return xp.where(kept, x * x.dtype.type(1 / (1 - rate)), 0)


def gate_block(x, features, bias, condition, label, rate, seed):
    """x + dropout(gate(z)) and z = features + bias + condition + label, of maps.

    x (N, H, W, C), features (N, H, W, 2C), bias (2C,); condition (N, H, W, 2C) and label (N, 2C)
    may be None. The gradient is one of z.
    """
    inside = features + bias
    if condition is not None:
        inside = inside + condition
    if label is not None:
        inside = inside + label[:, None, None]
    return x + dropout(gate(inside), rate, seed), inside


def gate_block_gradient(inside, dy, rate, seed):
    """Gradients with respect to z, the bias and the label: (N, H, W, 2C), (2C,), (N, 2C)."""
    d_inside = gate_gradient(inside, dropout(dy, rate, seed))
    return d_inside, rows_of(d_inside).sum(axis=0), d_inside.sum(axis=(1, 2))
