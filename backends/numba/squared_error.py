"""The mean squared error on the processor, the same for any number of threads."""

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, flat, prange

PARTS = 256  # whose sums are added up in order, whatever the number of threads


@kernels.mean_squared_error.version("numba")
def mean_squared_error(a, b):
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


@kernels.mean_squared_error_gradient.version("numba")
def mean_squared_error_gradient(a, b, d_error):
    da = np.empty(a.shape, a.dtype)
    factor = a.dtype.type(2 * d_error.item() / a.size)
    _difference_loop(flat(a), flat(b), factor, da.reshape(-1))
    return da


@compiled
def _difference_loop(a, b, factor, da):
    for i in prange(len(a)):
        da[i] = (a[i] - b[i]) * factor
