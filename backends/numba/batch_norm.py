"""Sums over the rows, and what is the same for every row, on the processor.

The rows are cut into parts in a way that depends on their number alone, so that no result depends
on the number of threads.
"""

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, prange

PARTS = 64  # at most, that the rows are cut into
PART_ROWS = 32  # of a part at least


def _parts(x):
    """How many parts the rows of x are cut into."""
    return max(1, min(PARTS, len(x) // PART_ROWS))


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


@kernels.sum_rows.version("numba")
def sum_rows(x):
    partial = np.zeros((_parts(x), x.shape[1]), x.dtype)
    _sum_rows_loop(np.ascontiguousarray(x), partial)
    return partial.sum(axis=0)


@compiled
def _sum_rows_loop(x, partial):
    parts = len(partial)
    for part in prange(parts):
        total = partial[part]
        for m in range(len(x) * part // parts, len(x) * (part + 1) // parts):
            for c in range(len(total)):
                total[c] += x[m, c]


@kernels.moments.version("numba")
def moments(x):
    x = np.ascontiguousarray(x)
    mean = sum_rows(x) / x.dtype.type(len(x))
    squares = np.zeros((_parts(x), x.shape[1]), x.dtype)
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
    partial = np.zeros((2, _parts(x), x.shape[1]), x.dtype)
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
    x, mean, variance, scale, offset, epsilon, relu, dy, d_scale, d_offset, count
):
    dx = np.empty(x.shape, x.dtype)
    mean, inverse, factor, offset = _constants(x, mean, variance, scale, offset, epsilon)
    slope, constant = -(factor * inverse * d_scale / count), -(factor * d_offset / count)
    rows = _contiguous(x, dy)
    _input_gradient_loop(*rows, mean, factor, offset, relu, slope, constant, dx)
    return dx


@compiled
def _input_gradient_loop(x, dy, mean, factor, offset, relu, slope, constant, dx):
    for m in prange(len(x)):
        for c in range(len(mean)):
            open = not relu or (x[m, c] - mean[c]) * factor[c] + offset[c] > 0
            dx[m, c] = dy[m, c] if open else 0
        for c in range(len(mean)):
            dx[m, c] = dx[m, c] * factor[c] + (x[m, c] - mean[c]) * slope[c] + constant[c]
