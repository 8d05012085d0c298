"""What sampling does once per row of a map: the share of the rows above in a causal convolution.

Of the taps of a causal k x k kernel, those in the k // 2 rows above meet inputs that are complete
when a row starts. All positions of the row, of all images, are then one matrix product, which reads
these weights once.

Shapes: rows (N, k // 2, W + 2 * (k // 2), C), zeros on both sides; weights (k // 2 * k, C, D).
"""

from backends.arrays import array_module
from backends.reference.packing import matrix, prepare_weights


def affine(x, w, offset):
    """x W + offset: (M, K), prepared (K, D), (M, D) -> (M, D)."""
    return x @ matrix(w, offset.shape[-1]).astype(x.dtype) + offset


def prepare_rows_above(w, storage, width):
    """Weights (taps, C, D) as `add_rows_above` reads them for rows of `width` positions.

    Only the backend that laid them out is sure to read them. Raises `ValueError` for an unknown
    storage.
    """
    return prepare_weights(w.reshape(-1, w.shape[-1]), storage)


def add_rows_above(rows, w, offset):
    """offset (N, W, D) + the sum over the taps above, at every position of a row: (N, W, D)."""
    half, width = rows.shape[1], offset.shape[1]
    taps = [rows[:, a, b : b + width] for a in range(half) for b in range(2 * half + 1)]
    patches = array_module(rows).concatenate(taps, axis=-1)
    count, columns = len(rows) * width, offset.shape[-1]
    patches, offsets = patches.reshape(count, patches.shape[-1]), offset.reshape(count, columns)
    return affine(patches, w, offsets).reshape(offset.shape)
