"""Weights of the rows above on a device: a matrix, which cuBLAS reads."""

from backends import kernels
from backends.precision import widen
from backends.reference.packing import stored


@kernels.prepare_rows_above.version("cupy")
def prepare_rows_above(w, storage, width):
    rounded = widen(stored(w, storage)).astype(w.dtype, copy=False)
    return rounded.reshape(-1, w.shape[-1])
