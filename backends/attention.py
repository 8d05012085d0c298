"""Strictly causal attention over the positions of a map in raster order (section A.2).

Position i attends to positions j < i only; position 0 attends to nothing and gets exactly zero
(not a uniform average, which would leak the future). Shapes: queries and keys (..., L, d), values
(..., L, e), such as (images, heads, L, d). Logits are q . k / sqrt(d).

Dropout, as the supplement words it, is "on the logits of each attention matrix": dropped logits
become zero, the others are scaled, *then* the causal mask is applied (`dropout_on="logits"`).
`dropout_on="weights"` drops attention weights after the softmax instead. The element (b, i, j)
is number (b * L + i) * L + j of the hash in `elementwise.keep`, where b counts images times heads.

No version but the reference ever holds an L x L array: they go over tiles of pairs, and the
backward pass computes weights again from `log_normalizer`, the log of each softmax denominator.
Float64 on processors, in tests only, is left to the reference.
"""

import math

import numpy as np

from backends import attention_tiles, cuda
from backends.elementwise import keep
from backends.selection import kernel
from backends.transfer import array_module


def _masks(queries, rate, seed):
    """(causal mask (L, L), dropout factors (..., L, L): 0 or 1 / (1 - rate))."""
    xp, (*many, length, _) = array_module(queries), queries.shape
    causal = xp.tril(xp.ones((length, length), bool), k=-1)
    if rate == 0:
        return causal, queries.dtype.type(1)
    index = xp.arange(math.prod(many) * length**2, dtype=xp.uint64)
    kept = keep(xp, seed, index.reshape(*many, length, length), rate)
    return causal, kept * queries.dtype.type(1 / (1 - rate))


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
    """Attended values (..., L, e) and log_normalizer (..., L)."""
    xp = array_module(queries)
    causal, factors = _masks(queries, rate, seed)
    logits = queries @ keys.swapaxes(-1, -2) / math.sqrt(queries.shape[-1])
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
    causal, factors = _masks(queries, rate, seed)
    on_logits = factors if dropout_on == "logits" else 1
    on_weights = factors if dropout_on == "weights" else 1
    scale = 1 / math.sqrt(queries.shape[-1])
    logits = queries @ keys.swapaxes(-1, -2) * scale * on_logits
    weights, _ = _weights(xp, logits, causal)
    d_weights = d_output @ values.swapaxes(-1, -2) * on_weights
    d_logits = weights * (d_weights - (d_output * output).sum(-1, keepdims=True))
    d_logits = d_logits * on_logits * scale
    d_values = (weights * on_weights).swapaxes(-1, -2) @ d_output
    return d_logits @ keys, d_logits.swapaxes(-1, -2) @ queries, d_values


def _dropout_arguments(rate, seed, dropout_on, dtype):
    threshold = np.uint64(int(rate * 2**24))
    return threshold, np.uint64(seed), dtype.type(1 / (1 - rate)), dropout_on == "logits"


def _scale_and_dropout(queries, rate, seed, dropout_on):
    scale = queries.dtype.type(1 / math.sqrt(queries.shape[-1]))
    return scale, _dropout_arguments(rate, seed, dropout_on, queries.dtype)


def _by_heads(x):
    """(..., L, d) -> (N, heads, L, d); leading axes other than two count as images of one head."""
    return x if x.ndim == 4 else x.reshape(math.prod(x.shape[:-2]), 1, *x.shape[-2:])


@causal_attention.version("numba")
def _causal_attention_numba(queries, keys, values, rate, seed, dropout_on):
    if queries.dtype != np.float32:
        return causal_attention.reference(queries, keys, values, rate, seed, dropout_on)
    arrays = (_by_heads(x) for x in (queries, keys, values))
    settings = _scale_and_dropout(queries, rate, seed, dropout_on)
    output, log_normalizer = attention_tiles.attend(*arrays, *settings)
    return output.reshape(values.shape), log_normalizer.reshape(queries.shape[:-1])


@causal_attention_gradient.version("numba")
def _causal_attention_gradient_numba(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    saved = (output, log_normalizer, d_output)
    if queries.dtype != np.float32:
        return causal_attention_gradient.reference(
            queries, keys, values, *saved, rate, seed, dropout_on
        )
    heads = [_by_heads(x) for x in (queries, keys, values, output)]
    normalizer = log_normalizer.reshape(heads[0].shape[:3])
    settings = _scale_and_dropout(queries, rate, seed, dropout_on)
    gradients = attention_tiles.attend_gradient(*heads, normalizer, _by_heads(d_output), *settings)
    shapes = (x.shape for x in (queries, keys, values))
    return tuple(d.reshape(shape) for d, shape in zip(gradients, shapes, strict=True))


# The CUDA versions: attention.cu.

_TILE = 32
_cuda = cuda.Source("attention.cu", TILE=_TILE)
_CUDA_THREADS = 128  # four warps of eight rows each


def _cuda_settings(queries, values, rate, seed, dropout_on):
    """The kernels' last arguments: sizes, scale and dropout."""
    length, width = queries.shape[-2:]
    threshold, seed, factor, on_logits = _dropout_arguments(rate, seed, dropout_on, queries.dtype)
    scale = 1 / math.sqrt(width)
    return length, width, values.shape[-1], scale, seed, threshold, factor, int(on_logits)


def _launch_attention(kernel, arrays, settings, shared):
    """One block for each tile of each image and head; `shared` counts numbers per position."""
    queries = arrays[0]
    blocks = math.prod(queries.shape[:-2]) * cuda.blocks_of(queries.shape[-2], _TILE)
    size = shared * _TILE * queries.dtype.itemsize
    _cuda.launch(kernel, blocks, _CUDA_THREADS, *arrays, *settings, shared=size)


@causal_attention.version("cupy")
def _causal_attention_cupy(queries, keys, values, rate, seed, dropout_on):
    xp = array_module(queries)
    output = xp.empty(values.shape, queries.dtype)
    log_normalizer = xp.empty(queries.shape[:-1], queries.dtype)
    inputs = [cuda.contiguous(array) for array in (queries, keys, values)]
    settings = _cuda_settings(queries, values, rate, seed, dropout_on)
    pitch, pitch_out = queries.shape[-1] | 1, values.shape[-1] | 1
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
