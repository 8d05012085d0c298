"""Sums over the rows on a device.

CuPy gives a sum over the rows of C channels to C / 32 blocks of threads, which leaves nearly all of
a device idle; sums over parts of the rows occupy it.
"""

from backends import kernels

PART_ROWS = 32  # of a part at least
MOST_SUMS = 2**15  # of parts: CuPy starts a block of threads for 32 of them


@kernels.sum_rows.version("cupy")
def sum_rows(x):
    rows, channels = x.shape
    parts = max(1, min(rows // PART_ROWS, MOST_SUMS // max(1, channels)))
    each = rows // parts
    total = x[: parts * each].reshape(parts, each, channels).sum(axis=1).sum(axis=0)
    return total + x[parts * each :].sum(axis=0) if rows % parts else total


@kernels.moments.version("cupy")
def moments(x):
    mean = sum_rows(x) / len(x)
    centred = x - mean
    return mean, sum_rows(centred * centred) / len(x)


@kernels.correlate.version("cupy")
def correlate(x, mean, dy):
    return sum_rows(dy), sum_rows(dy * (x - mean))
