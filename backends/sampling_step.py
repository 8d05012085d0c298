"""What sampling one more position is made of: products of few rows with large weights (section F).

At batch 1 a position is one row, and its cost is reading the weights from memory. `prepare` lays
them out for that: in blocks of columns, each of which one core reads from front to back exactly
once, whatever follows the product being done while the results are still in its cache. Stored as
bfloat16 (the upper half of a float32) they are half as many bytes; but on a device one image's
products wait for each load rather than for all bytes, and may take as long in either. For more rows
the cost is arithmetic; BLAS would lay out the weights anew for every product, which takes as long
as the product does.

Shapes: x (M, K), weights (K, D), M being the number of images sampled side by side, or of all
positions of a row of theirs.
"""

import math

import numpy as np

from backends import cuda
from backends.compiled import compiled, flat, part, prange
from backends.elementwise import elu, gate
from backends.exponential import ONE, exp
from backends.largest import largest
from backends.precision import bfloat16_bits
from backends.product import pack, panel_rows, unpack
from backends.selection import kernel
from backends.tile import BLOCK, add_product, widen
from backends.transfer import array_module

STORAGES = ("float32", "bfloat16")


def prepare(w, storage="float32", halves=1):
    """Weights (K, D) as the kernels below read them.

    Float32 weights are packed into column blocks (`product.pack`, `halves` = 2 for `affine_gate`)
    of float32, or of the bit patterns of bfloat16, uint16, rounded to nearest. Float64 weights,
    which only tests sample from, stay a matrix, and the references below multiply them. Raises
    `ValueError` for an unknown storage.
    """
    if storage not in STORAGES:
        raise ValueError(f"storage {storage!r} must be one of {', '.join(STORAGES)}")
    if storage == "bfloat16":
        bits = bfloat16_bits(w.astype(np.float32))
        return pack(bits, halves) if w.dtype == np.float32 else widen(bits).astype(w.dtype)
    return pack(w, halves) if w.dtype == np.float32 else w


def matrix(prepared, columns, halves=1):
    """The weights (K, columns) in `prepared`, as they are used: rounded where they were."""
    return prepared if prepared.ndim == 2 else unpack(widen(prepared), columns, halves)


@kernel
def affine(x, w, offset, activated):
    """x W + offset, then ELU where `activated`: (M, K), prepared (K, D), (M, D) -> (M, D)."""
    y = x @ matrix(w, offset.shape[-1]).astype(x.dtype) + offset
    return elu.reference(y) if activated else y


@kernel
def affine_gate(x, w, offset, residual):
    """residual + gate(x W + offset), and ELU of that, which the next layer reads.

    (M, K), prepared with halves (K, 2C), (M, 2C), (M, C) -> two of (M, C). [a, b] = x W + offset
    is a sigmoid(b), as in `elementwise.gate`.
    """
    weights = matrix(w, offset.shape[-1], 2).astype(x.dtype)
    y = residual + gate.reference(x @ weights + offset)
    return y, elu.reference(y)


@kernel
def attend(query, keys, values, count):
    """Attention of one position to the first `count` positions: (M, heads, d) -> the same shape.

    keys, values: (M, heads, L, d). softmax(q . k / sqrt(d)) v; without any position exactly zero.
    """
    xp = array_module(query)
    if count == 0:
        return xp.zeros_like(query)
    keys, values = keys[:, :, :count], values[:, :, :count]
    logits = (keys @ query[..., None])[..., 0] / math.sqrt(query.shape[-1])
    weights = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return (weights[:, :, None] @ values)[:, :, 0]


@affine.version("numba")
def _affine_numba(x, w, offset, activated):
    if w.ndim == 2:
        return affine.reference(x, w, offset, activated)
    offset = np.ascontiguousarray(offset)
    y, panel = np.empty(offset.shape, x.dtype), panel_rows(len(x), len(w))
    _affine_loop(flat(x), w, offset, panel, activated, y)
    return y


@affine_gate.version("numba")
def _affine_gate_numba(x, w, offset, residual):
    if w.ndim == 2:
        return affine_gate.reference(x, w, offset, residual)
    offset, residual = np.ascontiguousarray(offset), np.ascontiguousarray(residual)
    y, activation = np.empty(residual.shape, x.dtype), np.empty(residual.shape, x.dtype)
    _affine_gate_loop(flat(x), w, offset, residual, y, activation)
    return y, activation


@attend.version("numba")
def _attend_numba(query, keys, values, count):
    output = np.empty(query.shape, query.dtype)
    scale = query.dtype.type(1 / math.sqrt(query.shape[-1]))
    query, keys, values = (np.ascontiguousarray(array) for array in (query, keys, values))
    _attend_loop(query, keys, values, count, scale, output)
    return output


@part
def _elu(x):
    return x if x > 0 else exp(x) - ONE


@part
def _gated(a, b):
    return a / (ONE + exp(-b))


@compiled
def _affine_loop(x, w, offset, panel, activated, y):
    rows, columns = y.shape
    blocks, length, _ = w.shape
    for task in prange((rows + panel - 1) // panel * blocks):
        top, block = task // blocks * panel, task % blocks
        sums = np.zeros((min(panel, rows - top), BLOCK), x.dtype)
        start = block * length * BLOCK
        add_product(x, top * length, length, 1, length, w, start, BLOCK, sums)
        left = block * BLOCK
        for m in range(len(sums)):
            for j in range(min(BLOCK, columns - left)):
                result = sums[m, j] + offset[top + m, left + j]
                y[top + m, left + j] = _elu(result) if activated else result


@compiled
def _affine_gate_loop(x, w, offset, residual, y, activation):
    rows, columns = y.shape
    blocks, length, _ = w.shape
    half = BLOCK // 2
    for block in prange(blocks):
        sums = np.zeros((rows, BLOCK), x.dtype)
        add_product(x, 0, length, 1, length, w, block * length * BLOCK, BLOCK, sums)
        left = block * half
        for m in range(rows):
            for j in range(left, min(left + half, columns)):
                a = sums[m, j - left] + offset[m, j]
                b = sums[m, j - left + half] + offset[m, columns + j]
                y[m, j] = residual[m, j] + _gated(a, b)
                activation[m, j] = _elu(y[m, j])


@compiled
def _attend_loop(query, keys, values, count, scale, output):
    batch, heads, width = query.shape
    for task in prange(batch * heads):
        b, h = task // heads, task % heads
        logits = np.empty(count, query.dtype)
        for i in range(count):
            total = 0 * scale
            for d in range(width):
                total += query[b, h, d] * keys[b, h, i, d]
            logits[i] = total * scale
        peak = largest(logits) if count else 0 * scale
        read, total = output[b, h], 0 * scale
        read[:] = 0
        for i in range(count):
            weight = exp(logits[i] - peak)
            total += weight
            for d in range(width):
                read[d] += weight * values[b, h, i, d]
        for d in range(width):
            read[d] = read[d] / total if count else 0


# The CUDA versions: sampling_step.cu.

# A block of THREADS threads takes ROWS rows of x and SLICE columns of w. So it reads w in pieces of
# 64 bytes, or 32 of bfloat16 and for a gate: a device reads no fewer than 32 at once.
ROWS, SLICE, THREADS = 8, 16, 512
FEW_ROWS = 64  # for more rows, reading the weights once for every ROWS of them is the slower way
source = cuda.Source("sampling_step.cu", BLOCK=BLOCK, SLICE=SLICE, THREADS=THREADS)


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


@affine.version("cupy")
def _affine_cupy(x, w, offset, activated):
    columns, offset = offset.shape[-1], cuda.contiguous(offset)
    if _is_for_few_rows(x, w):
        y = array_module(x).empty(offset.shape, x.dtype)
        _launch_product("affine", x, w, columns, offset, y, (int(activated),))
        return y
    y = x @ matrix(w, columns).astype(x.dtype, copy=False)
    source.each("finish", y.size, y, offset, int(activated))
    return y


@affine_gate.version("cupy")
def _affine_gate_cupy(x, w, offset, residual):
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


@attend.version("cupy")
def _attend_cupy(query, keys, values, count):
    images, heads, width = query.shape
    output = array_module(query).empty(query.shape, query.dtype)
    arrays = [cuda.contiguous(array) for array in (query, keys, values)]
    shared = (count + THREADS) * query.dtype.itemsize
    sizes = (keys.shape[2], width, count, 1 / math.sqrt(width))
    source.launch("attend", images * heads, THREADS, *arrays, output, *sizes, shared=shared)
    return output
