"""Cases of the rows above as a plain product; `test_rows_above` has those of Winograd's algorithm.

Its weights are laid out for the host alone.
"""

from functools import partial

from backends import kernels
from backends.reference.packing import STORAGES
from tests.cases.matmul import PRODUCTS

# images, half of the kernel, width, channels in, channels out
ROWS = {
    "5x5": (2, 2, 7, 5, 6),
    "3x3": (3, 1, 6, 4, 70),
    "one-number": (1, 1, 1, 1, 1),
    "one-column": (2, 2, 1, 33, 65),
    "no-images": (0, 2, 4, 3, 2),
}


def _add(images, half, width, channels, channels_out, storage, draw):
    taps = half * (2 * half + 1)
    w = kernels.prepare_rows_above(draw(taps, channels, channels_out), storage, width)
    rows = draw(images, half, width + 2 * half, channels)
    return rows, w, draw(images, width, channels_out)


def _affine(rows, length, columns, storage, draw):
    w = kernels.prepare_weights.reference(draw(length, columns), storage)
    return draw(rows, length), w, draw(rows, columns)


CASES = {
    kernels.affine: {
        f"{name}-{storage}": partial(_affine, *shape, storage)
        for name, shape in PRODUCTS.items()
        for storage in STORAGES
    },
    kernels.add_rows_above: {
        f"{name}-{storage}": partial(_add, *row, storage)
        for name, row in ROWS.items()
        for storage in STORAGES
    },
}
