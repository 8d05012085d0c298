"""The share of the rows above on the processor: one product, or Winograd's algorithm.

With wide enough rows the latter multiplies little more than half as often.
"""

import numpy as np

from backends import kernels
from backends.numba.engine import causal_winograd
from backends.numba.engine.compiled import compiled, prange
from backends.numba.engine.products import add_packed, panel_rows
from backends.numba.engine.tile import BLOCK, add_product
from backends.numba.packing import prepare_weights
from backends.reference import rows_above as reference


@kernels.affine.version("numba")
def affine(x, w, offset):
    if x.dtype != np.float32:
        return reference.affine(x, w, offset)
    y = np.array(offset, order="C")
    add_packed(x, w, y)
    return y


@kernels.prepare_rows_above.version("numba")
def prepare_rows_above(w, storage, width):
    if storage == "float32" and causal_winograd.pays_above(width, w):
        return causal_winograd.prepare_above(w)
    return prepare_weights(w.reshape(-1, w.shape[-1]), storage)


@kernels.add_rows_above.version("numba")
def add_rows_above(rows, w, offset):
    if w.ndim == 5:  # laid out for Winograd's algorithm
        return causal_winograd.above(rows, w, offset)
    if rows.dtype != np.float32:
        return reference.add_rows_above(rows, w, offset)
    y, offset = np.empty(offset.shape, np.float32), np.ascontiguousarray(offset)
    _rows_above_loop(np.ascontiguousarray(rows), w, offset, y)
    return y


@compiled
def _rows_above_loop(rows, w, offset, y):
    images, half, places, channels = rows.shape
    _, width, columns = y.shape
    blocks, total, _ = w.shape
    length, panel = total // half, panel_rows(width, images * blocks)  # of the taps in a row above
    panels = (width + panel - 1) // panel
    for task in prange(images * panels * blocks):
        block, n = task % blocks, task // blocks // panels
        first, left = task // blocks % panels * panel, block * BLOCK
        sums = np.zeros((min(panel, width - first), BLOCK), np.float32)
        for a in range(half):
            # What the taps meet at one position lies side by side, from the next a column on.
            start, w_start = (
                ((n * half + a) * places + first) * channels,
                block * total + a * length,
            )
            add_product(rows, start, channels, 1, length, w, w_start * BLOCK, BLOCK, sums)
        for m in range(len(sums)):
            for j in range(min(BLOCK, columns - left)):
                y[n, first + m, left + j] = sums[m, j] + offset[n, first + m, left + j]
