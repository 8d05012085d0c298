"""Products and attention of a single position on a device: sampling_step.cu."""

import math

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda
from backends.reference.packing import BLOCK, matrix

# A block of THREADS threads takes ROWS rows of x and SLICE columns of w. So it reads w in pieces of
# 64 bytes, or 32 of bfloat16 and for a gate: a device reads no fewer than 32 at once.
ROWS, SLICE, THREADS = 8, 16, 512
FEW_ROWS = 64  # for more rows, reading the weights once for every ROWS of them is the slower way
source = cuda.Source(__file__, BLOCK=BLOCK, SLICE=SLICE, THREADS=THREADS)


def _is_for_few_rows(x, w):
    return w.ndim == 3 and len(x) <= FEW_ROWS


def blocks_of_product(w, rows):
    """How many blocks of threads multiply `rows` rows of x."""
    return len(w) * (BLOCK // SLICE) * cuda.blocks_of(rows, ROWS)


def _launch_product(kernel, x, w, columns, *arrays_and_more):
    rows, length = x.shape
    blocks = blocks_of_product(w, rows)
    kernel += "_bfloat16" if w.dtype == np.uint16 else ""
    *arrays, settings = arrays_and_more
    sizes = (rows, length, columns, len(w), *settings)
    source.launch(kernel, blocks, THREADS, cuda.contiguous(x), w, *arrays, *sizes)


@kernels.affine.version("cupy")
def affine(x, w, offset, activated):
    columns, offset = offset.shape[-1], cuda.contiguous(offset)
    if _is_for_few_rows(x, w):
        y = array_module(x).empty(offset.shape, x.dtype)
        _launch_product("affine", x, w, columns, offset, y, (int(activated),))
        return y
    y = x @ matrix(w, columns).astype(x.dtype, copy=False)
    source.each("finish", y.size, y, offset, int(activated))
    return y


@kernels.affine_gate.version("cupy")
def affine_gate(x, w, offset, residual):
    xp, channels = array_module(x), residual.shape[-1]
    offset, residual = cuda.contiguous(offset), cuda.contiguous(residual)
    y, activation = xp.empty(residual.shape, x.dtype), xp.empty(residual.shape, x.dtype)
    if _is_for_few_rows(x, w):
        arrays = (offset, residual, y, activation)
        _launch_product("affine_gate", x, w, channels, *arrays, ())
    else:
        products = x @ matrix(w, 2 * channels, 2).astype(x.dtype, copy=False)
        arrays = (products, offset, residual, y, activation)
        source.each("finish_gate", y.size, *arrays, channels)
    return y, activation


@kernels.attend.version("cupy")
def attend(query, keys, values, count):
    images, heads, width = query.shape
    output = array_module(query).empty(query.shape, query.dtype)
    arrays = [cuda.contiguous(array) for array in (query, keys, values)]
    shared = (count + THREADS) * query.dtype.itemsize
    sizes = (keys.shape[2], width, count, 1 / math.sqrt(width))
    source.launch("attend", images * heads, THREADS, *arrays, output, *sizes, shared=shared)
    return output
