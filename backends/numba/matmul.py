"""Matrix products on the processor, in the same threads as all other kernels."""

from backends import kernels
from backends.numba.engine.products import Columns, multiply


@kernels.matmul.version("numba")
def matmul(a, b, rounded=False):
    return multiply(a, Columns(b))
