"""Strictly causal attention on a device, in tiles of pairs: attention.cu."""

import math

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda
from backends.reference.elementwise import dropout_numbers

_TILE = 32
_cuda = cuda.Source(__file__, TILE=_TILE)
_THREADS = 128  # four warps of eight rows each


def _settings(queries, values, rate, seed, dropout_on):
    """The kernels' last arguments: sizes, scale and dropout."""
    length, width = queries.shape[-2:]
    threshold, seed, factor = dropout_numbers(rate, seed, queries.dtype)
    scale, on_logits = 1 / math.sqrt(width), int(dropout_on == "logits")
    return length, width, values.shape[-1], scale, seed, threshold, factor, on_logits


def _launch_attention(kernel, arrays, settings, shared):
    """One block for each tile of each image and head; `shared` counts numbers per position."""
    queries = arrays[0]
    blocks = math.prod(queries.shape[:-2]) * cuda.blocks_of(queries.shape[-2], _TILE)
    size = shared * _TILE * queries.dtype.itemsize
    _cuda.launch(kernel, blocks, _THREADS, *arrays, *settings, shared=size)


@kernels.causal_attention.version("cupy")
def causal_attention(queries, keys, values, rate, seed, dropout_on):
    xp = array_module(queries)
    output = xp.empty(values.shape, queries.dtype)
    log_normalizer = xp.empty(queries.shape[:-1], queries.dtype)
    inputs = [cuda.contiguous(array) for array in (queries, keys, values)]
    settings = _settings(queries, values, rate, seed, dropout_on)
    pitch, pitch_out = queries.shape[-1] | 1, values.shape[-1] | 1
    shared = 2 * pitch + pitch_out + values.shape[-1] + _TILE
    _launch_attention("attention", [*inputs, output, log_normalizer], settings, shared)
    return output, log_normalizer


@kernels.causal_attention_gradient.version("cupy")
def causal_attention_gradient(
    queries, keys, values, output, log_normalizer, d_output, rate, seed, dropout_on
):
    xp = array_module(queries)
    inner = (d_output * output).sum(axis=-1)
    inputs = (queries, keys, values, log_normalizer, inner, d_output)
    inputs = [cuda.contiguous(array) for array in inputs]
    d_queries, d_keys, d_values = (xp.empty(a.shape, a.dtype) for a in (queries, keys, values))
    settings = _settings(queries, values, rate, seed, dropout_on)
    width, width_out = queries.shape[-1], values.shape[-1]
    tiles = 2 * (width | 1) + 2 * (width_out | 1)
    shared = tiles + width + _TILE
    _launch_attention("attention_query_gradient", [*inputs, d_queries], settings, shared)
    shared = tiles + width + width_out + 2 * _TILE
    outputs = [d_keys, d_values]
    _launch_attention("attention_key_value_gradient", [*inputs, *outputs], settings, shared)
    return d_queries, d_keys, d_values
