"""Arrays in half precision: what products read, and what stays in memory for the backward pass.

The kernel that makes such numbers rounds them, once. NumPy and CuPy know no bfloat16, so that they
are 16-bit patterns in a class of their own; whoever does not expect one cannot compute with it by
mistake.
"""

import numpy as np

from backends.arrays import array_module
from backends.cupy.engine import cuda
from backends.kernel import current_precision

FORMATS = {"float16": 0, "bfloat16": 1}  # precisions of 16 bits: what prelude.cuh calls them
EXACT = 2  # the same of an array of float32 or float64

_cuda = cuda.Source(__file__)


class Half:
    """An array of float16 or bfloat16 numbers on a device.

    bits        their patterns, an array of uint16
    precision   "float16" or "bfloat16"
    dtype       float32, in which kernels compute with them
    """

    dtype = np.dtype(np.float32)

    def __init__(self, bits, precision):
        self.bits, self.precision = bits, precision

    shape = property(lambda self: self.bits.shape, doc="As an array's.")
    ndim = property(lambda self: self.bits.ndim, doc="As an array's.")
    size = property(lambda self: self.bits.size, doc="As an array's.")
    T = property(lambda self: Half(self.bits.T, self.precision), doc="As an array's.")

    def __len__(self):
        return len(self.bits)

    def swapaxes(self, a, b):
        """As an array's."""
        return Half(self.bits.swapaxes(a, b), self.precision)

    def __getitem__(self, key):
        return Half(self.bits[key], self.precision)

    def reshape(self, *shape):
        """As an array's."""
        return Half(self.bits.reshape(*shape), self.precision)

    def widened(self):
        """The same numbers as an array of float32."""
        if not self.bits.flags.c_contiguous and self.bits.T.flags.c_contiguous:
            return self.T.widened().T
        numbers = array_module(self.bits).empty(self.shape, np.float32)
        _cuda.each("widen", self.size, *parts(self), numbers, dtype=np.float32)
        return numbers


def is_half(dtype):
    """Whether what has this dtype is rounded to 16 bits in the selected precision."""
    return dtype == np.float32 and current_precision() in FORMATS


def empty(xp, shape, dtype, rounded=True):
    """Uninitialised; with `rounded` a `Half` in half precision, else an array of `dtype`."""
    if rounded and is_half(dtype):
        return Half(xp.empty(shape, np.uint16), current_precision())
    return xp.empty(shape, dtype)


def parts(x):
    """(numbers without gaps, their format): how a kernel is given an array or a `Half`."""
    if isinstance(x, Half):
        return cuda.contiguous(x.bits), FORMATS[x.precision]
    return cuda.contiguous(x), EXACT


def contiguous(x):
    """x without gaps between its elements, copied only where that is needed."""
    return Half(cuda.contiguous(x.bits), x.precision) if isinstance(x, Half) else cuda.contiguous(x)


def halved(x, precision=None):
    """x rounded to 16 bits where the precision (default: the selected one) says so.

    A `Half` stays as it is. Layouts are kept.
    """
    precision = precision or current_precision()
    if isinstance(x, Half) or x.dtype != np.float32 or precision not in FORMATS:
        return x
    if x.T.flags.c_contiguous and not x.flags.c_contiguous:
        return halved(x.T, precision).T
    y = Half(array_module(x).empty(x.shape, np.uint16), precision)
    _cuda.each("to_halves", x.size, cuda.contiguous(x), *parts(y))
    return y
