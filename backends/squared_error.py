"""The mean squared error of two arrays, and its gradient."""

import numpy as np

from backends.compiled import compiled, flat, prange
from backends.selection import kernel

PARTS = 256  # whose sums are added up in order, whatever the number of threads


@kernel(also=("cupy",))
def mean_squared_error(a, b):
    """Mean over all elements of (a - b)^2: a number, for arrays of one shape that is not empty."""
    difference = a - b
    return (difference * difference).mean()


@mean_squared_error.version("numba")
def _mean_squared_error_numba(a, b):
    partial = np.zeros(PARTS, a.dtype)
    _sum_squares_loop(flat(a), flat(b), partial)
    return partial.sum() / a.dtype.type(a.size)


@compiled
def _sum_squares_loop(a, b, partial):
    parts = len(partial)
    for part in prange(parts):
        first, last = len(a) * part // parts, len(a) * (part + 1) // parts
        x, y = a[first:last], b[first:last]
        total = partial[part]  # zero, of the arrays' dtype
        for i in range(len(x)):
            difference = x[i] - y[i]
            total += difference * difference
        partial[part] = total


@kernel(also=("cupy",))
def mean_squared_error_gradient(a, b, d_error):
    """Gradient with respect to a, (a - b) * 2 d_error / size; d_error is a number on its own."""
    return (a - b) * (d_error * (2 / a.size))


@mean_squared_error_gradient.version("numba")
def _mean_squared_error_gradient_numba(a, b, d_error):
    da = np.empty(a.shape, a.dtype)
    factor = a.dtype.type(2 * d_error.item() / a.size)
    _difference_loop(flat(a), flat(b), factor, da.reshape(-1))
    return da


@compiled
def _difference_loop(a, b, factor, da):
    for i in prange(len(a)):
        da[i] = (a[i] - b[i]) * factor
