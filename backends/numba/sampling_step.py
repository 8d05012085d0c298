"""Products and attention of a single position on the processor.

Every core reads its blocks of weights from front to back exactly once. Float64, which only tests
use, is left to the reference.
"""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, flat, part, prange
from backends.numba.engine.exponential import ONE, ZERO, exp
from backends.numba.engine.largest import largest
from backends.numba.engine.products import panel_rows
from backends.numba.engine.tile import BLOCK, add_product
from backends.reference import sampling_step as reference


@kernels.affine.version("numba")
def affine(x, w, offset, activated):
    if w.ndim == 2:
        return reference.affine(x, w, offset, activated)
    offset = np.ascontiguousarray(offset)
    y, panel = np.empty(offset.shape, x.dtype), panel_rows(len(x), len(w))
    _affine_loop(flat(x), w, offset, panel, activated, y)
    return y


@kernels.affine_gate.version("numba")
def affine_gate(x, w, offset, residual):
    if w.ndim == 2:
        return reference.affine_gate(x, w, offset, residual)
    offset, residual = np.ascontiguousarray(offset), np.ascontiguousarray(residual)
    y, activation = np.empty(residual.shape, x.dtype), np.empty(residual.shape, x.dtype)
    _affine_gate_loop(flat(x), w, offset, residual, y, activation)
    return y, activation


@kernels.attend.version("numba")
def attend(query, keys, values, count):
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
            total = ZERO
            for d in range(width):
                total += query[b, h, d] * keys[b, h, i, d]
            logits[i] = total * scale
        peak = largest(logits) if count else ZERO
        read, total = output[b, h], ZERO
        read[:] = 0
        for i in range(count):
            weight = exp(logits[i] - peak)
            total += weight
            for d in range(width):
                read[d] += weight * values[b, h, i, d]
        for d in range(width):
            read[d] = read[d] / total if count else ZERO
