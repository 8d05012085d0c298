"""Matrix products on a device: cuBLAS, in the selected precision (`precision.py`).

    multiply(a, b)                  a and b float32; rounded as the precision says
    multiply(halved(a), b)          the same, for a matrix that is rounded once and used often

In half precision both factors are a `Half` (half.py), or become one here; the tensor cores add up
in float32. cuBLAS counts columns first: to it a row-major matrix is its own transpose, so that it
is asked for (a b)^T = b^T a^T.
"""

import numpy as np

from backends.arrays import array_module
from backends.cupy.engine import cuda, half
from backends.kernel import current_precision

_ONE_AND_ZERO = np.array([1, 0], np.float32)  # read by cuBLAS, on the host


def multiply(a, b, out=None, add=False, rounded=False):
    """a b, float32 or float64: (M, K), (K, N) -> (M, N), written (or with `add` added) to `out`.

    `out` is without gaps. Each of a, b and out may be a `Half`; without `out` the result is one
    with `rounded`, in half precision.
    """
    if out is None:
        out = half.empty(array_module(a), (len(a), b.shape[1]), a.dtype, rounded)
    precision = _precision_of(a, b)
    if precision == "float32" or out.dtype != np.float32:
        return _multiply_exactly(a, b, out, add)
    if 0 in (*out.shape, len(b)):
        if not add:
            (out.bits if isinstance(out, half.Half) else out)[...] = 0
        return out
    a, b = (_laid_out(half.halved(x, precision)) for x in (a, b))
    _gemm(a, b, out, add, precision == "tf32")
    return out


def _precision_of(*factors):
    """That of a factor in half precision, else the selected one."""
    halves = [x.precision for x in factors if isinstance(x, half.Half)]
    return halves[0] if halves else current_precision()


def _multiply_exactly(a, b, out, add):
    xp = array_module(a)
    if add:
        out += xp.matmul(a, b)
        return out
    return xp.matmul(a, b, out=out)


def _laid_out(x):
    """x, copied unless it or its transpose is without gaps."""
    if isinstance(x, half.Half):
        return half.Half(_laid_out(x.bits), x.precision)
    return x if x.T.flags.c_contiguous else cuda.contiguous(x)


def _gemm(a, b, out, add, in_tf32):
    cupy = array_module()

    cublas = cupy.cuda.cublas
    sums = cublas.CUBLAS_COMPUTE_32F_FAST_TF32 if in_tf32 else cublas.CUBLAS_COMPUTE_32F
    one = _ONE_AND_ZERO.ctypes.data
    (a_turned, *a_place), (b_turned, *b_place), (_, *place) = map(_layout, (a, b, out))
    turn = {False: cublas.CUBLAS_OP_N, True: cublas.CUBLAS_OP_T}
    cublas.gemmEx(
        cupy.cuda.device.get_cublas_handle(),
        *(turn[b_turned], turn[a_turned]),
        *(out.shape[1], out.shape[0], a.shape[1]),
        one,
        *b_place,
        *a_place,
        one if add else one + _ONE_AND_ZERO.itemsize,
        *place,
        sums,
        cublas.CUBLAS_GEMM_DEFAULT,
    )


def _layout(x):
    """(Whether x is a row-major matrix's transpose, its address, kind of numbers, row's length)."""
    numbers, kind = x, "CUDA_R_32F"
    if isinstance(x, half.Half):
        numbers, kind = x.bits, {"float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF"}[x.precision]
    turned = not numbers.flags.c_contiguous
    kind = getattr(array_module().cuda.runtime, kind)
    return turned, numbers.data.ptr, kind, x.shape[0] if turned else x.shape[1]
