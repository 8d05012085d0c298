"""Work on the columns of a matrix (rows, channels), whose rows are cut into parts.

One thread looks at one column of one part (`part_of` in prelude.cuh), so that a sum over the rows
is one of a part first, and then one over parts (columns.cu). How the rows are cut depends on the
shape alone, and so do the bits of the sums.
"""

import numpy as np

from backends.arrays import array_module
from backends.cupy.engine import cuda

PART_ROWS = 32  # of a part at least
MOST_THREADS = 2**18  # enough to fill any device
ACROSS = 32  # columns of a block that adds up parts, and threads that share one column

_cuda = cuda.Source(__file__, ACROSS=ACROSS)


class Columns:
    """How `groups` groups of rows each, of `channels` numbers, are cut into `parts` each."""

    def __init__(self, groups, rows, channels):
        most = max(1, MOST_THREADS // max(1, groups * channels))
        self.part_rows = max(PART_ROWS, cuda.blocks_of(rows, most))
        self.parts = cuda.blocks_of(rows, self.part_rows)
        self.groups, self.rows, self.channels = groups, rows, channels

    def launch(self, source, kernel, *arguments, dtype):
        """Start `kernel` of a `Source`, which has the sizes for `part_of` as its last arguments."""
        threads = cuda.threads_along(self.channels)
        tiles = cuda.blocks_of(self.channels, threads[0])
        blocks = tiles * cuda.blocks_of(self.groups * self.parts, threads[1])
        sizes = (np.int64(self.groups), np.int64(self.rows), self.channels, self.part_rows)
        source.launch(kernel, blocks, threads, *arguments, *sizes, dtype=dtype)

    def partial(self, x, sums=1):
        """Room for the sums that each part of x has: (groups, parts, sums * channels)."""
        shape = (self.groups, self.parts, sums * self.channels)
        return array_module(x).empty(shape, x.dtype)


def add_parts(partial):
    """Sums over the parts: (groups, parts, channels) -> (groups, channels)."""
    groups, parts, channels = partial.shape
    total = array_module(partial).empty((groups, channels), partial.dtype)
    blocks = groups * cuda.blocks_of(channels, ACROSS)
    threads = (ACROSS, ACROSS)
    _cuda.launch("add_parts_of_columns", blocks, threads, partial, total, parts, channels)
    return total
