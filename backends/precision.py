"""The precision of matrix products: how far their factors are rounded before they are multiplied.

    float32     not at all
    tf32        to 11 significant bits, in the range of float32 (NVIDIA's tensor cores, from A100)
    float16     to 11 significant bits, from 6e-8 up to 65504
    bfloat16    to 8 significant bits, in the range of float32

Sums are taken in float32, and weights, their gradients and Adam stay float32. What is float64, in
tests only, is multiplied as it is.

On a device cuBLAS multiplies the rounded factors (`cupy/engine/cublas.py`), several times as fast,
and of the latter two precisions what only products and fused kernels read stays in 16 bits
(`cupy/engine/half.py`). The other backends round the factors and then multiply as ever: for
studying the numbers, and no faster.
"""

import numpy as np

from backends.arrays import array_module
from backends.kernel import Kernel, Parameters, Result, current_precision, on_device


class ProductKernel(Kernel[Parameters, Result]):
    """A kernel that multiplies numbers of its first two arguments, in the selected precision.

    Its reference and its CPU versions are given rounded arrays; the device's version sees to the
    rounding itself.
    """

    def __call__(self, *arguments: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        """Run the selected backend's version. Raises `BackendError` when there is none."""
        precision = current_precision()
        if precision != "float32" and not on_device():
            a, b, *settings = arguments
            arguments = (rounded(a, precision), rounded(b, precision), *settings)
        return super().__call__(*arguments, **keywords)


def rounded(x, precision):
    """x with its numbers rounded to a precision, to nearest; float64 and float32 as they are.

    Numbers beyond the largest of float16 become infinite; NaN stays NaN. Ties go to the even
    number, those of tf32 away from zero, as NVIDIA's conversion does it.
    """
    if precision == "float32" or x.dtype != np.float32:
        return x
    if precision == "float16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    if precision == "bfloat16":
        return widen(bfloat16_bits(x))
    bits = np.ascontiguousarray(x).view(np.uint32)
    near = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isnan(x), bits, near).astype(np.uint32).view(np.float32)


def bfloat16_bits(x):
    """The bit patterns, uint16, of float32 numbers rounded to bfloat16; NaN stays NaN."""
    bits = array_module(x).ascontiguousarray(x).view(np.uint32)
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    near = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return array_module(x).where(is_nan, (bits >> 16) | 1, near).astype(np.uint16)


def widen(weights):
    """float32 values of an array of any shape: its own, or those of bfloat16 bit patterns."""
    if weights.dtype != np.uint16:
        return weights
    return (weights.astype(np.uint32) << np.uint32(16)).view(np.float32)
