"""Strictly causal attention over the positions of a map in raster order (section A.2).

Position i attends to positions j < i only; position 0 attends to nothing and gets exactly zero
(not a uniform average, which would leak the future). Shapes: queries and keys (B, L, d), values
(B, L, e), where B counts images times heads. Logits are q . k / sqrt(d).

Dropout, as the supplement words it, is "on the logits of each attention matrix": dropped logits
become zero, the others are scaled, *then* the causal mask is applied (`dropout_on="logits"`).
`dropout_on="weights"` drops attention weights after the softmax instead. The element (b, i, j)
is number (b * L + i) * L + j of the hash in `elementwise.keep`.

No version but the reference ever holds an L x L array: queries come in blocks, and the backward
pass recomputes a block's weights from `log_normalizer`, the log of each softmax denominator.
"""

import math

import numpy as np

from backends import cuda
from backends.compiled import compiled, prange
from backends.elementwise import hashed, keep
from backends.exponential import exp
from backends.selection import kernel
from backends.transfer import array_module

QUERY_BLOCK = 64


def _masks(xp, batch, length, rate, seed, dtype):
    """(causal mask (L, L), dropout factors (B, L, L): 0 or 1 / (1 - rate))."""
    causal = xp.tril(xp.ones((length, length), bool), k=-1)
    if rate == 0:
        return causal, dtype.type(1)
    index = xp.arange(batch * length**2, dtype=xp.uint64).reshape(batch, length, length)
    return causal, keep(xp, seed, index, rate) * dtype.type(1 / (1 - rate))


def _weights(xp, logits, causal):
    """Softmax over the allowed positions, exactly zero elsewhere, and log of its denominator."""
    lowest = xp.finfo(logits.dtype).min
    peak = xp.where(causal, logits, lowest).max(axis=-1, keepdims=True, initial=lowest)
    weights = xp.where(causal, xp.exp(xp.where(causal, logits - peak, 0)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    safe = xp.where(total == 0, 1, total)  # row 0 is empty: its weights stay exactly zero
    log_normalizer = xp.where(total == 0, 0, xp.log(safe) + peak)
    return weights / safe, log_normalizer[..., 0]


@kernel
def causal_attention(queries, keys, values, rate, seed, dropout_on):
    """Attended values (B, L, e) and log_normalizer (B, L)."""
    xp = array_module(queries)
    batch, length, width = queries.shape
    causal, factors = _masks(xp, batch, length, rate, seed, queries.dtype)
    logits = queries @ keys.swapaxes(1, 2) / math.sqrt(width)
    if dropout_on == "logits":
        logits = logits * factors
    weights, log_normalizer = _weights(xp, logits, causal)
    if dropout_on == "weights":
        weights = weights * factors
    return weights @ values, log_normalizer


@kernel
def causal_attention_gradient(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    """Gradients with respect to queries, keys and values, of the same shapes.

    With weights P = softmax(S), S = F * (Q K^T) / sqrt(d) and factors F of the dropout:
    dP = dO V^T, dS = P * (dP - sum(dO * O)), dQ = (F * dS) K / sqrt(d), dK likewise, dV = P^T dO.
    """
    xp = array_module(queries)
    batch, length, width = queries.shape
    causal, factors = _masks(xp, batch, length, rate, seed, queries.dtype)
    on_logits = factors if dropout_on == "logits" else 1
    on_weights = factors if dropout_on == "weights" else 1
    scale = 1 / math.sqrt(width)
    logits = queries @ keys.swapaxes(1, 2) * scale * on_logits
    weights, _ = _weights(xp, logits, causal)
    d_weights = d_output @ values.swapaxes(1, 2) * on_weights
    d_logits = weights * (d_weights - (d_output * output).sum(-1, keepdims=True))
    d_logits = d_logits * on_logits * scale
    d_values = (weights * on_weights).swapaxes(1, 2) @ d_output
    return d_logits @ keys, d_logits.swapaxes(1, 2) @ queries, d_values


def _query_blocks(length):
    return [(i, min(i + QUERY_BLOCK, length)) for i in range(0, length, QUERY_BLOCK)]


def _dropout_arguments(rate, seed, dropout_on, dtype):
    threshold = np.uint64(int(rate * 2**24))
    return threshold, np.uint64(seed), dtype.type(1 / (1 - rate)), dropout_on == "logits"


@causal_attention.version("numba")
def _causal_attention_numba(queries, keys, values, rate, seed, dropout_on):
    batch, length, width = queries.shape
    output = np.empty((batch, length, values.shape[-1]), queries.dtype)
    log_normalizer = np.empty((batch, length), queries.dtype)
    dropout = _dropout_arguments(rate, seed, dropout_on, queries.dtype)
    scale = queries.dtype.type(1 / math.sqrt(width))
    for start, stop in _query_blocks(length):
        block = np.matmul(queries[:, start:stop], keys[:, :stop].swapaxes(1, 2))
        _softmax_loop(block, start, length, scale, *dropout, log_normalizer)
        np.matmul(block, values[:, :stop], out=output[:, start:stop])
    return output, log_normalizer


@compiled
def _softmax_loop(block, start, length, scale, threshold, seed, factor, on_logits, log_normalizer):
    """Turn products q . k (B, block, stop) into dropped-out weights in place."""
    batch, rows, columns = block.shape
    for line in prange(batch * rows):
        b, r = line // rows, line % rows
        i = start + r
        row = block[b, r]
        first = np.uint64((b * length + i) * length)
        for j in range(i):
            row[j] *= scale
            if on_logits and threshold > 0:
                kept = hashed(seed, first + np.uint64(j)) >= threshold
                row[j] *= factor if kept else 0 * factor
        peak = row[0]
        for j in range(1, i):
            peak = max(peak, row[j])
        total = 0 * scale
        for j in range(i):
            row[j] = exp(row[j] - peak)
            total += row[j]
        for j in range(i):
            row[j] /= total
            if not on_logits and threshold > 0:
                kept = hashed(seed, first + np.uint64(j)) >= threshold
                row[j] *= factor if kept else 0 * factor
        for j in range(i, columns):
            row[j] = 0
        log_normalizer[b, i] = peak + math.log(total) if i > 0 else 0


@causal_attention_gradient.version("numba")
def _causal_attention_gradient_numba(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    batch, length, width = queries.shape
    dropout = _dropout_arguments(rate, seed, dropout_on, queries.dtype)
    scale = queries.dtype.type(1 / math.sqrt(width))
    d_queries = np.empty_like(queries)
    d_keys, d_values = np.zeros_like(keys), np.zeros_like(values)
    inner = np.ascontiguousarray((d_output * output).sum(-1))
    log_normalizer = np.ascontiguousarray(log_normalizer)
    for start, stop in _query_blocks(length):
        q, dy = queries[:, start:stop], d_output[:, start:stop]
        block = np.matmul(q, keys[:, :stop].swapaxes(1, 2))
        d_block = np.matmul(dy, values[:, :stop].swapaxes(1, 2))
        _softmax_gradient_loop(
            block, d_block, start, length, scale, *dropout, log_normalizer, inner
        )
        d_queries[:, start:stop] = np.matmul(d_block, keys[:, :stop])
        d_keys[:, :stop] += np.matmul(d_block.swapaxes(1, 2), q)
        d_values[:, :stop] += np.matmul(block.swapaxes(1, 2), dy)
    return d_queries, d_keys, d_values


@compiled
def _softmax_gradient_loop(
    block, d_block, start, length, scale, threshold, seed, factor, on_logits, log_normalizer, inner
):
    """Turn products into weights and d_weights into gradients of the products, both in place."""
    batch, rows, columns = block.shape
    for line in prange(batch * rows):
        b, r = line // rows, line % rows
        i = start + r
        row, d_row = block[b, r], d_block[b, r]
        first = np.uint64((b * length + i) * length)
        normalizer, mean = log_normalizer[b, i], inner[b, i]
        on_logit, on_weight = np.empty_like(row), np.empty_like(row)
        on_logit[:] = 1
        on_weight[:] = 1
        if threshold > 0:
            dropped = on_logit if on_logits else on_weight
            for j in range(i):
                kept = hashed(seed, first + np.uint64(j)) >= threshold
                dropped[j] = factor if kept else 0 * factor
        for j in range(i):
            row[j] = exp(row[j] * scale * on_logit[j] - normalizer)
        for j in range(i):
            d_row[j] = row[j] * (d_row[j] * on_weight[j] - mean) * on_logit[j] * scale
        for j in range(i):
            row[j] *= on_weight[j]
        for j in range(i, columns):
            row[j] = 0
            d_row[j] = 0


# The CUDA versions: attention.cu.

_TILE = 32
_cuda = cuda.Source("attention.cu", TILE=_TILE)
_CUDA_THREADS = 128  # four warps of eight rows each


def _cuda_settings(queries, values, rate, seed, dropout_on):
    """The kernels' last arguments: sizes, scale and dropout."""
    _, length, width = queries.shape
    threshold, seed, factor, on_logits = _dropout_arguments(rate, seed, dropout_on, queries.dtype)
    scale = 1 / math.sqrt(width)
    return length, width, values.shape[-1], scale, seed, threshold, factor, int(on_logits)


def _launch_attention(kernel, arrays, settings, shared):
    """One block for each tile of each image and head; `shared` counts numbers per position."""
    queries = arrays[0]
    blocks = len(queries) * cuda.blocks_of(queries.shape[1], _TILE)
    size = shared * _TILE * queries.dtype.itemsize
    _cuda.launch(kernel, blocks, _CUDA_THREADS, *arrays, *settings, shared=size)


@causal_attention.version("cupy")
def _causal_attention_cupy(queries, keys, values, rate, seed, dropout_on):
    xp = array_module(queries)
    batch, length, width = queries.shape
    output = xp.empty((batch, length, values.shape[-1]), queries.dtype)
    log_normalizer = xp.empty((batch, length), queries.dtype)
    inputs = [cuda.contiguous(array) for array in (queries, keys, values)]
    settings = _cuda_settings(queries, values, rate, seed, dropout_on)
    pitch, pitch_out = width | 1, values.shape[-1] | 1
    shared = 2 * pitch + pitch_out + values.shape[-1] + _TILE
    _launch_attention("attention", [*inputs, output, log_normalizer], settings, shared)
    return output, log_normalizer


@causal_attention_gradient.version("cupy")
def _causal_attention_gradient_cupy(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    xp = array_module(queries)
    inner = (d_output * output).sum(axis=-1)
    inputs = (queries, keys, values, log_normalizer, inner, d_output)
    inputs = [cuda.contiguous(array) for array in inputs]
    d_queries, d_keys, d_values = (xp.empty(a.shape, a.dtype) for a in (queries, keys, values))
    settings = _cuda_settings(queries, values, rate, seed, dropout_on)
    width, width_out = queries.shape[-1], values.shape[-1]
    tiles = 2 * (width | 1) + 2 * (width_out | 1)
    shared = tiles + width + _TILE
    _launch_attention("attention_query_gradient", [*inputs, d_queries], settings, shared)
    shared = tiles + width + width_out + 2 * _TILE
    outputs = [d_keys, d_values]
    _launch_attention("attention_key_value_gradient", [*inputs, *outputs], settings, shared)
    return d_queries, d_keys, d_values
