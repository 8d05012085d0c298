"""Sums over positions, and what is the same for every position: (M, C) with one number per channel.

Biases, their gradients, and batch normalisation. The compiled versions cut the rows into parts in
a way that depends on M alone, so that no result depends on the number of threads. On a device the
references do where they only pass over memory; sums come from parts of the rows, too.
"""

import numpy as np

from backends.compiled import compiled, prange
from backends.selection import kernel
from backends.transfer import array_module

PARTS = 64  # at most, that the rows are cut into
PART_ROWS = 32  # of a part at least
DEVICE_SUMS = 2**15  # of parts on a device, at most: CuPy starts a block of threads for 32 of them


def _parts(x):
    """How many parts the rows of x are cut into."""
    return max(1, min(PARTS, len(x) // PART_ROWS))


@kernel(also=("cupy",))
def add_bias(x, bias):
    """x += bias, in place: (..., C), (C,)."""
    x += bias


@add_bias.version("numba")
def _add_bias_numba(x, bias):
    if not x.flags.c_contiguous or x.dtype != bias.dtype:
        x += bias
    elif x.size:
        _add_bias_loop(x.reshape(-1, len(bias)), np.ascontiguousarray(bias))


@compiled
def _add_bias_loop(x, bias):
    for m in prange(len(x)):
        for c in range(len(bias)):
            x[m, c] += bias[c]


@kernel
def sum_rows(x):
    """Sum over the rows: (M, C) -> (C,)."""
    return x.sum(axis=0)


@sum_rows.version("numba")
def _sum_rows_numba(x):
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


@kernel
def moments(x):
    """Mean and variance of every channel over the rows: (M, C) -> (C,), (C,). For M > 0."""
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, array_module(x).mean(centred * centred, axis=0)


@moments.version("numba")
def _moments_numba(x):
    x = np.ascontiguousarray(x)
    mean = _sum_rows_numba(x) / x.dtype.type(len(x))
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


@kernel(also=("cupy",))
def normalize(x, mean, factor, offset):
    """(x - mean) * factor + offset: (M, C), three times (C,) -> (M, C)."""
    return (x - mean) * factor + offset


@normalize.version("numba")
def _normalize_numba(x, mean, factor, offset):
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


@kernel
def correlate(x, mean, dy):
    """Sums over the rows of dy and of dy * (x - mean): (M, C), (C,), (M, C) -> (C,), (C,)."""
    return dy.sum(axis=0), (dy * (x - mean)).sum(axis=0)


@correlate.version("numba")
def _correlate_numba(x, mean, dy):
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


@kernel(also=("cupy",))
def combine(x, mean, dy, factor, slope, offset):
    """dy * factor + (x - mean) * slope + offset, each row: (M, C) and (C,) -> (M, C)."""
    return dy * factor + (x - mean) * slope + offset


@combine.version("numba")
def _combine_numba(x, mean, dy, factor, slope, offset):
    y = np.empty(x.shape, x.dtype)
    _combine_loop(*_contiguous(x, mean, dy, factor, slope, offset), y)
    return y


@compiled
def _combine_loop(x, mean, dy, factor, slope, offset, y):
    for m in prange(len(x)):
        for c in range(len(mean)):
            y[m, c] = dy[m, c] * factor[c] + (x[m, c] - mean[c]) * slope[c] + offset[c]


# The device's versions. CuPy gives a sum over the rows of C channels to C / 32 blocks of threads,
# which leaves nearly all of a device idle; sums over parts of the rows occupy it.


@sum_rows.version("cupy")
def _sum_rows_cupy(x):
    rows, channels = x.shape
    parts = max(1, min(rows // PART_ROWS, DEVICE_SUMS // max(1, channels)))
    each = rows // parts
    total = x[: parts * each].reshape(parts, each, channels).sum(axis=1).sum(axis=0)
    return total + x[parts * each :].sum(axis=0) if rows % parts else total


@moments.version("cupy")
def _moments_cupy(x):
    mean = _sum_rows_cupy(x) / len(x)
    centred = x - mean
    return mean, _sum_rows_cupy(centred * centred) / len(x)


@correlate.version("cupy")
def _correlate_cupy(x, mean, dy):
    return _sum_rows_cupy(dy), _sum_rows_cupy(dy * (x - mean))
