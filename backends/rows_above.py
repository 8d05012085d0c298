"""The share of the rows above in one row of a causal convolution: what sampling does once per row.

Of the taps of a causal k x k kernel, those in the k // 2 rows above meet inputs that are complete
when a row starts. All positions of the row, of all images, are then one matrix product, which reads
these weights once. With wide enough rows `backends.causal_winograd` multiplies little more than
half as often.

Shapes: rows (N, k // 2, W + 2 * (k // 2), C), zeros on both sides; weights (k // 2 * k, C, D).
"""

import numpy as np

from backends import causal_winograd, sampling_step
from backends.selection import kernel
from backends.transfer import array_module


def prepare(w, storage, width):
    """Weights (taps, C, D) as `add` reads them for rows of `width` positions.

    For Winograd's algorithm on the host, where that gains something; else as
    `sampling_step.prepare` lays out (taps * C, D). Raises `ValueError` for an unknown storage.
    """
    on_host, wide = array_module(w) is np, causal_winograd.pays_above(width, w)
    if on_host and wide and storage == "float32":
        return causal_winograd.prepare_above(w)
    return sampling_step.prepare(w.reshape(-1, w.shape[-1]), storage)


@kernel
def add(rows, w, offset):
    """offset (N, W, D) + the sum over the taps above, at every position of a row: (N, W, D)."""
    if _is_for_winograd(w):
        w = causal_winograd.taps_above(w, offset.shape[-1]).reshape(-1, offset.shape[-1])
    return _added(sampling_step.affine.reference, rows, w, offset)


@add.version("numba", "cupy")
def _add(rows, w, offset):
    if _is_for_winograd(w):  # on the host, says `prepare`
        return causal_winograd.above(rows, w, offset)
    return _added(sampling_step.affine, rows, w, offset)


def _is_for_winograd(w):
    return w.ndim == 5


def _added(affine, rows, w, offset):
    """Patches of all positions, and one product."""
    half, width = rows.shape[1], offset.shape[1]
    taps = [rows[:, a, b : b + width] for a in range(half) for b in range(2 * half + 1)]
    patches = array_module(rows).concatenate(taps, axis=-1)
    count, columns = len(rows) * width, offset.shape[-1]
    patches, offsets = patches.reshape(count, patches.shape[-1]), offset.reshape(count, columns)
    return affine(patches, w, offsets, False).reshape(offset.shape)
