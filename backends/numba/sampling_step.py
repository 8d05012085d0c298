"""The layers of a prior at one position, each in one call, on the processor.

Every core reads its blocks of weights from front to back exactly once; what follows a product is
done while its sums are still in the cache. Float64, which only tests use, is left to the reference.
"""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, part, prange
from backends.numba.engine.exponential import ONE, ZERO, exp
from backends.numba.engine.largest import largest
from backends.numba.engine.products import panel_rows
from backends.numba.engine.tile import BLOCK, add_product
from backends.numba.sample import sample_codes
from backends.reference import sampling_step as reference


@kernels.affine_at.version("numba")
def affine_at(where, size, row, w, offset, y, following):
    if y.dtype != np.float32:
        return reference.affine_at(where, size, row, w, offset, y, following)
    _affine_loop(where, size, row, w, offset, y, row[:, :, :0] if following is None else following)


@kernels.gated_at.version("numba")
def gated_at(where, size, x, row, w, offset, inner, inner_w, inner_offset, following):
    layer = (where, size, x, row, w, offset, inner, inner_w, inner_offset, following)
    if x.dtype != np.float32:
        return reference.gated_at(*layer)
    _gated_loop(*layer)


@kernels.sample_at.version("numba")
def sample_at(where, logits, seeds, codes, temperature, top_k, top_p, kept, weights, dropped):
    position = int(where[0])
    drawn = sample_codes(logits, seeds, position, temperature, top_k, top_p)
    codes[:, position] = np.where(codes[:, position] < 0, drawn, codes[:, position])


@kernels.attend_at.version("numba")
def attend_at(where, size, x, w, offset, projected, past, joined):
    if x.dtype != np.float32:
        return reference.attend_at(where, size, x, w, offset, projected, past, joined)
    scale = np.float32(1 / math.sqrt(past.shape[4]))
    row = x[:, None]
    _affine_loop(where, size, row, w, offset, projected, row[:, :, :0])
    _attend_loop(where, projected, past, scale, x.shape[1], joined)


@part
def _elu(x):
    return x if x > 0 else exp(x) - ONE


@part
def _gated(a, b):
    return a / (ONE + exp(-b))


@part
def _place(row, size, column):
    """Where a position lies in a `row`."""
    return (row.shape[1] - size) // 2 + column if row.shape[1] > 1 else 0


@part
def _sums(row, column, w, block, top, panel):
    """Products of what the taps meet in images `top` and following with a block of weights."""
    images, places, channels = row.shape
    length, step = w.shape[1], places * channels
    begin = top * step + (column * channels if places > 1 else 0)
    sums = np.zeros((min(panel, images - top), BLOCK), np.float32)
    add_product(row, begin, step, 1, length, w, block * length * BLOCK, BLOCK, sums)
    return sums


@compiled
def _affine_loop(where, size, row, w, offset, y, following):
    images, columns = y.shape
    blocks, column = len(w), where[0] % size
    panel = panel_rows(images, blocks)
    for task in prange((images + panel - 1) // panel * blocks):
        top, left = task // blocks * panel, task % blocks * BLOCK
        sums = _sums(row, column, w, task % blocks, top, panel)
        for m in range(len(sums)):
            added = offset[(top + m) % len(offset), where[0] % offset.shape[1]]
            for j in range(min(BLOCK, columns - left)):
                y[top + m, left + j] = sums[m, j] + added[left + j]
            if following.shape[2]:
                activation = following[top + m, _place(following, size, column)]
                for j in range(left, min(left + BLOCK, columns)):
                    activation[j] = _elu(y[top + m, j])


@compiled
def _gated_loop(where, size, x, row, w, offset, inner, inner_w, inner_offset, following):
    images, channels = x.shape
    column, width, half = where[0] % size, inner.shape[2], BLOCK // 2
    blocks = len(w)
    panel = panel_rows(images, blocks)
    for task in prange((images + panel - 1) // panel * blocks):
        top, left = task // blocks * panel, task % blocks * BLOCK
        sums = _sums(row, column, w, task % blocks, top, panel)
        for m in range(len(sums)):
            added = offset[(top + m) % len(offset), where[0] % offset.shape[1]]
            activation = inner[top + m, _place(inner, size, column)]
            for j in range(min(BLOCK, width - left)):
                activation[left + j] = _elu(sums[m, j] + added[left + j])
    inner_blocks = len(inner_w)
    inner_panel = panel_rows(images, inner_blocks)
    for task in prange((images + inner_panel - 1) // inner_panel * inner_blocks):
        top, left = task // inner_blocks * inner_panel, task % inner_blocks * half
        sums = _sums(inner, column, inner_w, task % inner_blocks, top, inner_panel)
        for m in range(len(sums)):
            added = inner_offset[(top + m) % len(inner_offset), where[0] % inner_offset.shape[1]]
            activation = following[top + m, _place(following, size, column)]
            features = x[top + m]
            for j in range(min(half, channels - left)):
                c = left + j
                a, b = sums[m, j] + added[c], sums[m, half + j] + added[channels + c]
                features[c] += _gated(a, b)
                activation[c] = _elu(features[c])


@compiled
def _attend_loop(where, projected, past, scale, channels, joined):
    images, _, heads, _, width = past.shape
    count = where[0]
    for task in prange(images * heads):
        n, h = task // heads, task % heads
        query = projected[n, h * width : (h + 1) * width]
        keys, values = past[n, 0, h], past[n, 1, h]
        logits = np.empty(count, np.float32)
        for i in range(count):
            total = ZERO
            for d in range(width):
                total += query[d] * keys[i, d]
            logits[i] = total * scale
        peak = largest(logits) if count else ZERO
        start = channels + h * width
        read, total = joined[n, 0, start : start + width], ZERO
        for d in range(width):
            read[d] = ZERO
        for i in range(count):
            weight = exp(logits[i] - peak)
            total += weight
            for d in range(width):
                read[d] += weight * values[i, d]
        for d in range(width):
            read[d] = _elu(read[d] / total) if count else ZERO
