"""The share of the rows above on the processor: one product, or Winograd's algorithm.

With wide enough rows the latter multiplies little more than half as often.
"""

from backends import kernels
from backends.numba.engine import causal_winograd
from backends.numba.packing import prepare_weights
from backends.numba.sampling_step import affine
from backends.reference.rows_above import one_product


@kernels.prepare_rows_above.version("numba")
def prepare_rows_above(w, storage, width):
    if storage == "float32" and causal_winograd.pays_above(width, w):
        return causal_winograd.prepare_above(w)
    return prepare_weights(w.reshape(-1, w.shape[-1]), storage)


@kernels.add_rows_above.version("numba")
def add_rows_above(rows, w, offset):
    if w.ndim == 5:  # laid out for Winograd's algorithm
        return causal_winograd.above(rows, w, offset)
    return one_product(affine, rows, w, offset)
