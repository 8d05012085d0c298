"""Additions of arrays, and of the rows of one, on the processor.

The rows are cut into parts in a way that depends on their number alone, so that no result depends
on the number of threads.
"""

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, flat, prange

SMALL = 2**14  # numbers that NumPy has added up before a second thread is awake
PARTS = 64  # at most, that the rows are cut into
PART_ROWS = 32  # of a part at least


def parts_of(x):
    """How many parts the rows of x are cut into."""
    return max(1, min(PARTS, len(x) // PART_ROWS))


@kernels.add.version("numba")
def add(a, b):
    if not _alike(a, b) or a.size < SMALL:
        return a + b
    y = np.empty(a.shape, a.dtype)
    _add_loop(flat(a), flat(b), y.reshape(-1))
    return y


def _alike(a, b):
    """Whether both are arrays of one shape and dtype."""
    arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return arrays and a.shape == b.shape and a.dtype == b.dtype


@compiled
def _add_loop(a, b, y):
    for i in prange(a.size):
        y[i] = a[i] + b[i]


@kernels.sum_rows.version("numba")
def sum_rows(x):
    partial = np.zeros((parts_of(x), x.shape[1]), x.dtype)
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
