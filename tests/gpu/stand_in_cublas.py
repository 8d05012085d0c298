"""cuBLAS for the stand-in: `gemmEx` on the processor, reading memory as the library does.

It is given addresses, sizes and steps; a matrix that does not lie within its array is an error.
"""

import ctypes
import types

import numpy as np

from backends.precision import bfloat16_bits, rounded, widen

OP_N, OP_T = 0, 1
KINDS = {0: np.float32, 2: np.float16, 14: np.uint16}  # CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF
COMPUTE_32F, COMPUTE_32F_FAST_TF32 = 68, 77


class Pointer(int):
    """An address on the device, and the memory from there to the end of the array it lies in."""

    def __new__(cls, array):
        """The address of an array's first element."""
        self = super().__new__(cls, array.ctypes.data)
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        flat = owner.ravel(order="K").view(np.uint8)
        self.memory = flat[array.ctypes.data - owner.ctypes.data :]
        return self


def module(counts):
    """The module `cupy.cuda.cublas`; it adds up "operations" in `counts`."""

    def gemm_ex(
        handle, turn_a, turn_b, m, n, k, alpha, a, a_kind, lda, b, b_kind, ldb, beta, c, c_kind,
        ldc, compute, algorithm,
    ):  # fmt: skip
        """C = alpha op(A) op(B) + beta C, all of them stored column by column."""
        if (
            min(m, n, k) < 1
            or c_kind not in (0, a_kind)
            or compute not in (COMPUTE_32F, COMPUTE_32F_FAST_TF32)
        ):
            raise ValueError(f"CUBLAS_STATUS_NOT_SUPPORTED: {m, n, k, c_kind, compute}")
        if a_kind != b_kind or (a_kind != 0 and compute != COMPUTE_32F):
            raise ValueError("CUBLAS_STATUS_NOT_SUPPORTED: two kinds of factors")
        precision = "tf32" if compute == COMPUTE_32F_FAST_TF32 else "float32"
        counts["operations"] += 2 * m * n * k
        left = rounded(_numbers(_factor(a, a_kind, m, k, lda, turn_a)), precision)
        right = rounded(_numbers(_factor(b, b_kind, k, n, ldb, turn_b)), precision)
        result = _matrix(c, c_kind, m, n, ldc)
        scale, former = (ctypes.c_float.from_address(place).value for place in (alpha, beta))
        product = np.float32(scale) * (left @ right)
        if former:
            product += np.float32(former) * _numbers(result)
        result[...] = bfloat16_bits(product) if result.dtype == np.uint16 else product

    return types.SimpleNamespace(
        CUBLAS_OP_N=OP_N,
        CUBLAS_OP_T=OP_T,
        CUBLAS_COMPUTE_32F=COMPUTE_32F,
        CUBLAS_COMPUTE_32F_FAST_TF32=COMPUTE_32F_FAST_TF32,
        CUBLAS_GEMM_DEFAULT=-1,
        gemmEx=gemm_ex,
    )


def _factor(pointer, kind, rows, columns, step, turned):
    if turned == OP_T:
        return _matrix(pointer, kind, columns, rows, step).T
    return _matrix(pointer, kind, rows, columns, step)


def _matrix(pointer, kind, rows, columns, step):
    """(rows, columns) from an address on, `step` numbers from column to column."""
    dtype = np.dtype(KINDS[kind])
    used = ((columns - 1) * step + rows) * dtype.itemsize
    if step < rows or used > pointer.memory.nbytes:
        raise ValueError(f"cuBLAS would go beyond an array: ({rows}, {columns}), step {step}")
    numbers = pointer.memory[:used].view(dtype)
    steps = (dtype.itemsize, step * dtype.itemsize)
    return np.lib.stride_tricks.as_strided(numbers, (rows, columns), steps)


def _numbers(factor):
    return widen(factor) if factor.dtype == np.uint16 else factor.astype(np.float32)
