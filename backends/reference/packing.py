"""Weights in the order in which sampling reads them.

At batch 1 a position is one row, and its cost is reading the weights from memory. So they are laid
out in blocks of columns, each of which one core reads from front to back exactly once. Stored as
bfloat16 (the upper half of a float32) they are half as many bytes.
"""

import math

import numpy as np

from backends.arrays import array_module
from backends.precision import bfloat16_bits, widen

STORAGES = ("float32", "bfloat16")
BLOCK = 64  # columns of a block


def prepare_weights(w, storage="float32", halves=1):
    """Weights (K, D) as the kernels of `sampling_step` and `rows_above` read them.

    They are packed into column blocks (`pack`, `halves` = 2 for a gate) as they are, or as the bit
    patterns of bfloat16, uint16, rounded to nearest. Raises `ValueError` for an unknown storage.
    """
    return pack(stored(w, storage), halves)


def stored(w, storage):
    """Weights as they are, or the bit patterns of bfloat16. Raises `ValueError` for others."""
    if storage not in STORAGES:
        raise ValueError(f"storage {storage!r} must be one of {', '.join(STORAGES)}")
    return w if storage == "float32" else bfloat16_bits(w.astype(np.float32))


def matrix(prepared, columns, halves=1):
    """The weights (K, columns) in `prepared`, as they are used: rounded where they were."""
    weights = widen(prepared)
    return weights if weights.ndim == 2 else unpack(weights, columns, halves)


def pack(w, halves=1, block=BLOCK):
    """A matrix (K, D) cut into column blocks (D / block, K, block), the last filled up with zeros.

    With `halves` = 2 a block holds block / 2 columns of the first half of D and the same columns of
    the second, for what combines the two (`sampling_step.gated_at`).
    """
    xp, (length, columns) = array_module(w), w.shape
    width, each = block // halves, columns // halves
    count = math.ceil(each / width)
    cut = w.reshape(length, halves, each)
    if missing := count * width - each:
        cut = xp.concatenate([cut, xp.zeros((length, halves, missing), w.dtype)], axis=2)
    cut = cut.reshape(length, halves, count, width).transpose(2, 0, 1, 3)
    return xp.ascontiguousarray(cut).reshape(count, length, block)


def unpack(packed, columns, halves=1):
    """The inverse of `pack`: (K, columns)."""
    blocks, length, block = packed.shape
    cut = packed.reshape(blocks, length, halves, block // halves)
    joined = cut.transpose(1, 2, 0, 3).reshape(length, halves, blocks * block // halves)
    return joined[:, :, : columns // halves].reshape(length, columns)
