"""Matrix products, in the same threads as all other Numba kernels.

BLAS has threads of its own, and a training step goes back and forth between products and
elementwise kernels: the idle threads of one pool then hinder the busy ones of the other. Here a
product is cut into tasks, each a panel of rows times a block of columns, which `tile.py` computes;
whatever the number of threads, every number is summed up in the same order.
"""

import math

import numpy as np

from backends.numba.engine.compiled import compiled, flat, part, prange
from backends.numba.engine.tile import BLOCK, CHUNK, TILE_ROWS, add_product

PANEL_ROWS = 40 * TILE_ROWS  # of x, at most: with a chunk of columns they stay in the cache
STRETCH = 2**19  # numbers of a transposed factor, read across memory, that stay in the cache
WIDEST = 8 * BLOCK  # columns of a right factor that is read as it lies
TASKS = 16  # at least, where there are rows enough: the threads should end together


def pack(w):
    """A float32 matrix in column blocks, as `reference/packing.py::pack` with one half."""
    length, columns = w.shape
    packed = np.empty((math.ceil(columns / BLOCK), length, BLOCK), np.float32)
    _pack_loop(w if w.T.flags.c_contiguous else np.ascontiguousarray(w), packed)
    return packed


@compiled
def _pack_loop(w, packed):
    length, columns = w.shape
    rows = 64  # of a task: its part of a transposed matrix stays in the cache
    parts = (length + rows - 1) // rows
    for task in prange(len(packed) * parts):
        block, first = task // parts, task % parts * rows
        width = min(BLOCK, columns - block * BLOCK)
        for k in range(first, min(first + rows, length)):
            line = packed[block, k]
            for j in range(width):
                line[j] = w[k, block * BLOCK + j]
            line[width:] = 0


class Columns:
    """The right factor (K, N) of float32 products, as the kernel reads it: made once, used often.

    data, start of block i = i * block_step, from row to row = step
    """

    def __init__(self, matrix):
        self.shape = matrix.shape
        self.matrix = matrix  # for float64, which only tests use and BLAS multiplies
        if matrix.dtype != np.float32:
            return
        length, columns = matrix.shape
        if columns in range(BLOCK, WIDEST + 1, BLOCK) and matrix.flags.c_contiguous:
            self.data, self.block_step, self.step = matrix.reshape(-1), BLOCK, columns
        else:
            self.data, self.block_step, self.step = pack(matrix).reshape(-1), length * BLOCK, BLOCK


def multiply(a, columns):
    """a (M, K) times `Columns` (K, N): (M, N)."""
    rows, length = a.shape
    if a.dtype != np.float32:
        return a @ columns.matrix
    out = np.empty((rows, columns.shape[1]), np.float32)
    if a.T.flags.c_contiguous:
        numbers, row_step, step = a.T.reshape(-1), 1, rows
    else:
        numbers, row_step, step = flat(a), length, 1
    panel = panel_rows(rows, math.ceil(columns.shape[1] / BLOCK))
    place = (columns.data, columns.block_step, columns.step)
    stretch = length if step == 1 else max(CHUNK, STRETCH // max(1, rows))
    for first in range(0, max(1, length), max(1, stretch)):
        count = min(stretch, length - first)
        _product_loop(numbers, row_step, step, first, count, *place, panel, first > 0, out)
    return out


def add_packed(x, packed, y):
    """y (M, N) += x (M, K) times a matrix (K, N) in column blocks, in place.

    x and y are float32, the blocks (N / BLOCK, K, BLOCK) float32 or bfloat16's upper halves.
    """
    blocks, length, _ = packed.shape
    place = (packed.reshape(-1), length * BLOCK, BLOCK)
    _product_loop(flat(x), length, 1, 0, length, *place, panel_rows(len(x), blocks), True, y)


@part
def panel_rows(rows, blocks):
    """Rows of a task: as many as stay in the cache, but so few that there are `TASKS` tasks."""
    panels = max(TASKS // max(1, blocks), math.ceil(rows / PANEL_ROWS), 1)
    return TILE_ROWS * max(1, math.ceil(rows / panels / TILE_ROWS))


@compiled
def _product_loop(x, row_step, step, first, length, w, block_step, w_step, panel, add, y):
    rows, columns = y.shape
    blocks = (columns + BLOCK - 1) // BLOCK
    for task in prange((rows + panel - 1) // panel * blocks):
        top, block = task // blocks * panel, task % blocks
        sums = np.zeros((min(panel, rows - top), BLOCK), np.float32)
        start, w_start = top * row_step + first * step, block * block_step + first * w_step
        add_product(x, start, row_step, step, length, w, w_start, w_step, sums)
        left = block * BLOCK
        width = min(BLOCK, columns - left)
        for m in range(len(sums)):
            line = y[top + m, left : left + width]
            if add:
                for j in range(width):
                    line[j] += sums[m, j]
            else:
                for j in range(width):
                    line[j] = sums[m, j]
