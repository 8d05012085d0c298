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


@kernels.normalize.version("numba")
def normalize(x, mean, factor, offset):
    y = np.empty(x.shape, x.dtype)
    _normalize_loop(np.ascontiguousarray(x), *_contiguous(mean, factor, offset), y)
    return y


def _contiguous(*arrays):
    return [np.ascontiguousarray(array) for array in arrays]


@compiled
def _normalize_loop(x, mean, factor, offset, y):
    for m in prange(len(x)):
        for c in range(len(mean)):
            y[m, c] = (x[m, c] - mean[c]) * factor[c] + offset[c]


@kernels.correlate.version("numba")
def correlate(x, mean, dy):
    partial = np.zeros((2, _parts(x), x.shape[1]), x.dtype)
    _correlate_loop(*_contiguous(x, mean, dy), partial)
    plain, products = partial.sum(axis=1)
    return plain, products


@compiled
def _correlate_loop(x, mean, dy, partial):
    parts = partial.shape[1]
    for part in prange(parts):
        plain, products = partial[0, part], partial[1, part]
        for m in range(len(x) * part // parts, len(x) * (part + 1) // parts):
            for c in range(len(mean)):
                plain[c] += dy[m, c]
                products[c] += dy[m, c] * (x[m, c] - mean[c])


@kernels.combine.version("numba")
def combine(x, mean, dy, factor, slope, offset):
    y = np.empty(x.shape, x.dtype)
    _combine_loop(*_contiguous(x, mean, dy, factor, slope, offset), y)
    return y


@compiled
def _combine_loop(x, mean, dy, factor, slope, offset, y):
    for m in prange(len(x)):
        for c in range(len(mean)):
            y[m, c] = dy[m, c] * factor[c] + (x[m, c] - mean[c]) * slope[c] + offset[c]
