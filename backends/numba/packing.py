"""Weights packed for sampling, on the processor: float32 by all cores."""

import numpy as np

from backends import kernels
from backends.numba.engine import products
from backends.reference import packing as reference


@kernels.prepare_weights.version("numba")
def prepare_weights(w, storage="float32", halves=1):
    if w.dtype == np.float32 and storage == "float32" and halves == 1:
        return products.pack(w)
    return reference.prepare_weights(w, storage, halves)
