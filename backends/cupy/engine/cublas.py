"""Matrix products on a device: cuBLAS, in the selected precision (`precision.py`).

    multiply(a, b)                  a and b float32; rounded as the precision says
    multiply(factor(a), b)          the same, for a matrix that is rounded once and used often

In half precision the rounded factors are written to memory as 16-bit patterns, anew for every
product that they take part in; the tensor cores add up in float32. cuBLAS counts columns first: to
it a row-major matrix is its own transpose, so that it is asked for (a b)^T = b^T a^T.
"""

import numpy as np

from backends.arrays import array_module
from backends.cupy.engine import cuda
from backends.kernel import current_precision

HALVES = {"float16": 0, "bfloat16": 1}  # precisions of 16 bits: what cublas.cu calls them

_cuda = cuda.Source(__file__)
_ONE_AND_ZERO = np.array([1, 0], np.float32)  # read by cuBLAS, on the host


def factor_dtype(dtype):
    """The dtype of factors that were `dtype`: uint16, the bit patterns, in half precision."""
    return np.dtype(np.uint16) if _is_half(dtype) else np.dtype(dtype)


def _is_half(dtype):
    return dtype == np.float32 and current_precision() in HALVES


def factor(x):
    """x (M, K) as cuBLAS reads it: in half precision 16-bit patterns; else x itself."""
    if not _is_half(x.dtype):
        return x
    if x.T.flags.c_contiguous and not x.flags.c_contiguous:
        return factor(x.T).T
    x = cuda.contiguous(x)
    halves = array_module(x).empty(x.shape, np.uint16)
    _cuda.each("to_halves", x.size, x, halves, HALVES[current_precision()])
    return halves


def multiply(a, b, out=None, add=False):
    """a b, float32 or float64: (M, K), (K, N) -> (M, N), written (or with `add` added) to `out`.

    `out` is without gaps. a and b may be factors already.
    """
    if out is None:
        out = array_module(a).empty((len(a), b.shape[1]), _result_dtype(a))
    if current_precision() == "float32" or out.dtype != np.float32:
        return _multiply_exactly(a, b, out, add)
    if 0 in (*out.shape, len(b)):
        if not add:
            out[...] = 0
        return out
    _gemm(_laid_out(factor(a)), _laid_out(factor(b)), out, add)
    return out


def _result_dtype(a):
    return np.float32 if a.dtype == np.uint16 else a.dtype


def _multiply_exactly(a, b, out, add):
    xp = array_module(a)
    if add:
        out += xp.matmul(a, b)
        return out
    return xp.matmul(a, b, out=out)


def _laid_out(x):
    """x, copied unless it or its transpose is without gaps."""
    return x if x.T.flags.c_contiguous else cuda.contiguous(x)


def _gemm(a, b, out, add):
    cupy = array_module()

    cublas, runtime = cupy.cuda.cublas, cupy.cuda.runtime
    kinds = {"tf32": "CUDA_R_32F", "float16": "CUDA_R_16F", "bfloat16": "CUDA_R_16BF"}
    kind = getattr(runtime, kinds[current_precision()])
    fast = current_precision() == "tf32"
    sums = cublas.CUBLAS_COMPUTE_32F_FAST_TF32 if fast else cublas.CUBLAS_COMPUTE_32F
    one = _ONE_AND_ZERO.ctypes.data
    (a_turned, a_step), (b_turned, b_step) = _layout(a), _layout(b)
    turn = {False: cublas.CUBLAS_OP_N, True: cublas.CUBLAS_OP_T}
    cublas.gemmEx(
        cupy.cuda.device.get_cublas_handle(),
        *(turn[b_turned], turn[a_turned]),
        *(out.shape[1], out.shape[0], a.shape[1]),
        one,
        *(b.data.ptr, kind, b_step),
        *(a.data.ptr, kind, a_step),
        one if add else one + _ONE_AND_ZERO.itemsize,
        *(out.data.ptr, runtime.CUDA_R_32F, out.shape[1]),
        sums,
        cublas.CUBLAS_GEMM_DEFAULT,
    )


def _layout(x):
    """(whether x is the transpose of a row-major matrix, numbers from row to row of that)."""
    return (False, x.shape[1]) if x.flags.c_contiguous else (True, x.shape[0])
