"""The work of one position at fixed places, on a device: sampling_step.cu and sample.cu."""

import numpy as np

from backends import kernels
from backends.cupy import sample, sampling_step
from backends.cupy.engine import cuda
from backends.reference.position_step import Window

_cuda = sampling_step.source


def _launch_product(kernel, rows, x, w, *arguments):
    blocks = sampling_step.blocks_of_product(w, rows)
    kernel += "_bfloat16" if w.dtype == np.uint16 else ""
    _cuda.launch(kernel, blocks, sampling_step.THREADS, x, w, *arguments)


@kernels.affine_at.version("cupy")
def affine_at(
    where, size, rows, columns, x, x_window, w, offset, offset_window, y, y_window, activation,
    activation_window,
):  # fmt: skip
    nowhere = Window(0, 0)
    outputs = bool(y_window) + 2 * bool(activation_window)
    y_window, activation_window = y_window or nowhere, activation_window or nowhere
    windows = (x_window, offset_window, y_window, activation_window)
    by_position = offset_window.by_position + 2 * y_window.by_position
    numbers = [number for window in windows for number in window[:3]]
    sizes = (by_position, outputs, rows, w.shape[1], columns, len(w))
    _launch_product("affine_at", rows, x, w, offset, y, activation, where, size, *numbers, *sizes)


@kernels.affine_gate_at.version("cupy")
def affine_gate_at(
    where, size, rows, channels, x, x_window, w, offset, offset_window, residual, residual_window,
    y, y_window, activation, activation_window,
):  # fmt: skip
    numbers = [*x_window[:3], *offset_window[1:3], *residual_window[:2], *y_window[:2]]
    sizes = (*activation_window[:3], rows, w.shape[1], channels, len(w))
    arrays = (offset, residual, y, activation, where)
    _launch_product("affine_gate_at", rows, x, w, *arrays, size, *numbers, *sizes)


@kernels.attend_at.version("cupy")
def attend_at(where, query, past, output, output_window):
    images, heads, width = query.shape
    length = past.shape[1]
    shared = (length + sampling_step.THREADS) * query.dtype.itemsize
    sizes = (heads, length, width, *output_window[:2], 1 / width**0.5)
    blocks = images * heads
    arrays = (query, past, output, where)
    _cuda.launch("attend_at", blocks, sampling_step.THREADS, *arrays, *sizes, shared=shared)


@kernels.sample_at.version("cupy")
def sample_at(
    where, size, logits, gumbel, codes, temperature, top_k, top_p, kept, weights, dropped
):
    rows, count = logits.shape
    drawing = int(temperature != 0)
    settings = (float(temperature if drawing else 1), int(top_k), float(top_p), drawing)
    arrays = (logits, gumbel, kept, weights, dropped, codes, where)
    sizes = (size, codes.shape[1], count)
    sample.source.launch("sample_codes_at", rows, cuda.THREADS, *arrays, *sizes, *settings)


@kernels.embed_at.version("cupy")
def embed_at(where, size, table, codes, y, y_window):
    images, positions = codes.shape
    sizes = (size, positions, table.shape[1], *y_window[:3])
    _cuda.launch("embed_at", images, cuda.THREADS, table, codes, y, where, *sizes)


@kernels.advance.version("cupy")
def advance(where):
    _cuda.launch("advance", 1, 1, where, dtype=np.float32)
