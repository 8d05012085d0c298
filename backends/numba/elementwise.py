"""Elementwise work on the processor, each chain in one pass over memory."""

import math

import numpy as np

from backends import kernels
from backends.arrays import rows_of
from backends.numba.addition import add, sum_rows
from backends.numba.engine.compiled import compiled, flat, prange
from backends.numba.engine.exponential import ONE, exp
from backends.numba.engine.hashing import hashed
from backends.reference.elementwise import dropout_numbers


@kernels.relu.version("numba")
def relu(x):
    y = np.empty(x.shape, x.dtype)
    _relu_loop(flat(x), y.reshape(-1))
    return y


@compiled
def _relu_loop(x, y):
    for i in prange(x.size):
        y[i] = 0 if x[i] <= 0 else x[i]  # NaN stays NaN


@kernels.relu_gradient.version("numba")
def relu_gradient(y, dy, onto=None):
    dx = np.empty(y.shape, y.dtype)
    _relu_gradient_loop(flat(y), flat(dy), dx.reshape(-1))
    return dx if onto is None else add(onto, dx)


@compiled
def _relu_gradient_loop(y, dy, dx):
    for i in prange(y.size):
        dx[i] = dy[i] if y[i] > 0 else 0


@kernels.elu.version("numba")
def elu(x):
    y = np.empty(x.shape, x.dtype)
    _elu_loop(flat(x), y.reshape(-1))
    return y


@compiled
def _elu_loop(x, y):
    for i in prange(x.size):
        below = exp(x[i]) - ONE  # computed always: a branch would often be mispredicted
        y[i] = x[i] if x[i] > 0 else below


@kernels.elu_gradient.version("numba")
def elu_gradient(y, dy, onto=None):
    dx = np.empty(y.shape, y.dtype)
    _elu_gradient_loop(flat(y), flat(dy), dx.reshape(-1))
    return dx if onto is None else add(onto, dx)


@compiled
def _elu_gradient_loop(y, dy, dx):
    for i in prange(y.size):
        dx[i] = dy[i] if y[i] > 0 else dy[i] * (y[i] + ONE)


@kernels.biased_relu.version("numba")
def biased_relu(x, bias):
    y = np.empty(x.shape, x.dtype)
    rows = rows_of(np.ascontiguousarray(x))
    _biased_relu_loop(rows, np.ascontiguousarray(bias), y.reshape(rows.shape))
    return y


@compiled
def _biased_relu_loop(x, bias, y):
    for m in prange(len(x)):
        for c in range(len(bias)):
            value = x[m, c] + bias[c]
            y[m, c] = 0 if value <= 0 else value  # NaN stays NaN


@kernels.biased_relu_gradient.version("numba")
def biased_relu_gradient(y, dy):
    dx = relu_gradient(y, dy)
    return dx, sum_rows(rows_of(dx))


@kernels.biased_elu.version("numba")
def biased_elu(x, bias):
    y = np.empty(x.shape, x.dtype)
    rows = rows_of(np.ascontiguousarray(x))
    _biased_elu_loop(rows, np.ascontiguousarray(bias), y.reshape(rows.shape))
    return y


@compiled
def _biased_elu_loop(x, bias, y):
    for m in prange(len(x)):
        for c in range(len(bias)):
            value = x[m, c] + bias[c]
            below = exp(value) - ONE  # computed always: a branch would often be mispredicted
            y[m, c] = value if value > 0 else below


@kernels.biased_elu_gradient.version("numba")
def biased_elu_gradient(y, dy):
    dx = elu_gradient(y, dy)
    return dx, sum_rows(rows_of(dx))


@kernels.gate.version("numba")
def gate(x):
    rows, channels = math.prod(x.shape[:-1]), x.shape[-1] // 2
    y = np.empty((*x.shape[:-1], channels), x.dtype)
    _gate_loop(np.ascontiguousarray(x).reshape(rows, 2, channels), y.reshape(rows, channels))
    return y


@compiled
def _gate_loop(x, y):
    rows, channels = y.shape
    for n in prange(rows):
        for c in range(channels):
            y[n, c] = x[n, 0, c] / (ONE + exp(-x[n, 1, c]))


@kernels.gate_gradient.version("numba")
def gate_gradient(x, dy):
    rows, channels = math.prod(x.shape[:-1]), x.shape[-1] // 2
    dx = np.empty(x.shape, x.dtype)
    _gate_gradient_loop(
        np.ascontiguousarray(x).reshape(rows, 2, channels),
        np.ascontiguousarray(dy).reshape(rows, channels),
        dx.reshape(rows, 2, channels),
    )
    return dx


@compiled
def _gate_gradient_loop(x, dy, dx):
    rows, channels = dy.shape
    for n in prange(rows):
        for c in range(channels):
            s = ONE / (ONE + exp(-x[n, 1, c]))
            dx[n, 0, c] = dy[n, c] * s
            dx[n, 1, c] = dy[n, c] * x[n, 0, c] * s * (ONE - s)


@kernels.dropout.version("numba")
def dropout(x, rate, seed):
    y = np.empty(x.shape, x.dtype)
    _dropout_loop(flat(x), *dropout_numbers(rate, seed, x.dtype), y.reshape(-1))
    return y


@compiled
def _dropout_loop(x, threshold, seed, scale, y):
    for i in prange(x.size):
        y[i] = x[i] * scale if hashed(seed, np.uint64(i)) >= threshold else 0


@kernels.gate_block.version("numba")
def gate_block(x, features, bias, condition, label, rate, seed):
    inside, y = np.empty(features.shape, x.dtype), np.empty(x.shape, x.dtype)
    nothing = np.empty((0, features.shape[-1]), x.dtype)
    rows = [
        nothing if a is None else rows_of(np.ascontiguousarray(a))
        for a in (features, condition, label)
    ]
    _gate_block_loop(
        *rows,
        np.ascontiguousarray(bias),
        rows_of(np.ascontiguousarray(x)),
        math.prod(x.shape[1:-1]),
        *dropout_numbers(rate, seed, x.dtype),
        inside.reshape(rows[0].shape),
        rows_of(y),
    )
    return y, inside


@compiled
def _gate_block_loop(
    features, condition, label, bias, x, positions, threshold, seed, scale, inside, y
):
    rows, channels = y.shape
    for n in prange(rows):
        for c in range(2 * channels):
            inside[n, c] = features[n, c] + bias[c]
        if len(condition):
            for c in range(2 * channels):
                inside[n, c] += condition[n, c]
        if len(label):
            for c in range(2 * channels):
                inside[n, c] += label[n // positions, c]
        for c in range(channels):
            gated = inside[n, c] / (ONE + exp(-inside[n, channels + c]))
            if threshold > 0:
                kept = hashed(seed, np.uint64(n * channels + c)) >= threshold
                gated = gated * scale if kept else 0
            y[n, c] = x[n, c] + gated


@kernels.gate_block_gradient.version("numba")
def gate_block_gradient(inside, dy, rate, seed):
    d_inside = gate_gradient(inside, dropout(dy, rate, seed) if rate else dy)
    return d_inside, sum_rows(rows_of(d_inside)), d_inside.sum(axis=(1, 2))
