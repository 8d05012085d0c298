"""Biases and batch normalisation on the processor: what is the same for every row."""

import numpy as np

from backends import kernels
from backends.arrays import rows_of
from backends.numba.addition import add, parts_of, sum_rows
from backends.numba.engine.compiled import compiled, prange


@kernels.add_bias.version("numba")
def add_bias(x, bias):
    if not x.flags.c_contiguous or x.dtype != bias.dtype:
        x += bias
    elif x.size:
        _add_bias_loop(x.reshape(-1, len(bias)), np.ascontiguousarray(bias))


@compiled
def _add_bias_loop(x, bias):
    for m in prange(len(x)):
        for c in range(len(bias)):
            x[m, c] += bias[c]


@kernels.factor_and_sum.version("numba")
def factor_and_sum(x):
    return x, sum_rows(x)


@kernels.add_biased.version("numba")
def add_biased(x, y, bias):
    total = np.empty(x.shape, x.dtype)
    arrays = [rows_of(np.ascontiguousarray(array)) for array in (x, y)]
    _add_biased_loop(*arrays, np.ascontiguousarray(bias), rows_of(total))
    return total


@compiled
def _add_biased_loop(x, y, bias, total):
    for m in prange(len(x)):
        for c in range(len(bias)):
            total[m, c] = y[m, c] + bias[c]
        for c in range(len(bias)):
            total[m, c] += x[m, c]


@kernels.moments.version("numba")
def moments(x):
    x = np.ascontiguousarray(x)
    mean = sum_rows(x) / x.dtype.type(len(x))
    squares = np.zeros((parts_of(x), x.shape[1]), x.dtype)
    _sum_squares_loop(x, mean, squares)
    return mean, squares.sum(axis=0) / x.dtype.type(len(x))


@compiled
def _sum_squares_loop(x, mean, partial):
    parts = len(partial)
    for part in prange(parts):
        total = partial[part]
        for m in range(len(x) * part // parts, len(x) * (part + 1) // parts):
            for c in range(len(total)):
                total[c] += (x[m, c] - mean[c]) * (x[m, c] - mean[c])


def _constants(x, mean, variance, scale, offset, epsilon):
    """(mean, 1 / deviation, scale / deviation, offset), each without gaps."""
    inverse = 1 / np.sqrt(variance + epsilon)
    return _contiguous(mean, inverse, scale * inverse, offset)


def _contiguous(*arrays):
    return [np.ascontiguousarray(array) for array in arrays]


@kernels.normalize.version("numba")
def normalize(x, mean, variance, scale, offset, epsilon, relu):
    y = np.empty(x.shape, x.dtype)
    mean, _, factor, offset = _constants(x, mean, variance, scale, offset, epsilon)
    _normalize_loop(np.ascontiguousarray(x), mean, factor, offset, relu, y)
    return y


@compiled
def _normalize_loop(x, mean, factor, offset, relu, y):
    for m in prange(len(x)):
        for c in range(len(mean)):
            value = (x[m, c] - mean[c]) * factor[c] + offset[c]
            y[m, c] = 0 if relu and value <= 0 else value  # NaN stays NaN


@kernels.normalize_parameter_gradient.version("numba")
def normalize_parameter_gradient(x, mean, variance, scale, offset, epsilon, relu, dy):
    partial = np.zeros((2, parts_of(x), x.shape[1]), x.dtype)
    mean, inverse, factor, offset = _constants(x, mean, variance, scale, offset, epsilon)
    _parameter_gradient_loop(*_contiguous(x, dy), mean, factor, offset, relu, partial)
    d_offset, d_centred = partial.sum(axis=1)
    return d_centred * inverse, d_offset


@compiled
def _parameter_gradient_loop(x, dy, mean, factor, offset, relu, partial):
    parts = partial.shape[1]
    for part in prange(parts):
        plain, products = partial[0, part], partial[1, part]
        for m in range(len(x) * part // parts, len(x) * (part + 1) // parts):
            for c in range(len(mean)):
                open = not relu or (x[m, c] - mean[c]) * factor[c] + offset[c] > 0
                d = dy[m, c] if open else 0
                plain[c] += d
                products[c] += d * (x[m, c] - mean[c])


@kernels.normalize_input_gradient.version("numba")
def normalize_input_gradient(
    x, mean, variance, scale, offset, epsilon, relu, dy, d_scale, d_offset, count, onto=None
):
    dx = np.empty(x.shape, x.dtype)
    mean, inverse, factor, offset = _constants(x, mean, variance, scale, offset, epsilon)
    slope, constant = -(factor * inverse * d_scale / count), -(factor * d_offset / count)
    rows = _contiguous(x, dy)
    _input_gradient_loop(*rows, mean, factor, offset, relu, slope, constant, dx)
    return dx if onto is None else add(onto, dx)


@compiled
def _input_gradient_loop(x, dy, mean, factor, offset, relu, slope, constant, dx):
    for m in prange(len(x)):
        for c in range(len(mean)):
            open = not relu or (x[m, c] - mean[c]) * factor[c] + offset[c] > 0
            dx[m, c] = dy[m, c] if open else 0
        for c in range(len(mean)):
            dx[m, c] = dx[m, c] * factor[c] + (x[m, c] - mean[c]) * slope[c] + constant[c]
