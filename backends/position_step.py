"""The work of one position with every array at a fixed place: what a CUDA graph can hold.

A graph is recorded once and launched for every position, with the same arguments each time. So
these kernels read the position from memory (`where`, one int64), and find by themselves what
belongs to it. They do what those of `sampling_step` do, and write into arrays that were there
before; nothing is allocated. Where the numbers of an image lie is told by a `Window`.

The references are for the processor and say what the numbers are; a device runs sampling_step.cu.
"""

from typing import NamedTuple

import numpy as np

from backends import cuda, sample, sampling_step
from backends.elementwise import elu, gate
from backends.sampling_step import matrix
from backends.selection import kernel


class Window(NamedTuple):
    """Where the numbers of image n for a position begin: start + n * stride + step * along.

    `along` is the position's column, or with `by_position` its number in raster order.
    """

    start: int
    stride: int
    step: int = 0
    by_position: bool = False

    def places(self, where, size, images, length):
        """Indices (images, length) into the flat array."""
        position = int(where[0])
        along = position if self.by_position else position % size
        begin = self.start + self.step * along + self.stride * np.arange(images)
        return begin[:, None] + np.arange(length)


def whole(array):
    """The `Window` of an array (N, C) that is the same for all positions."""
    return Window(0, array.shape[-1])


@kernel(also=("numba",))
def affine_at(
    where, size, rows, columns, x, x_window, w, offset, offset_window, y, y_window, activation,
    activation_window,
):  # fmt: skip
    """x W + offset (rows, columns) into y, and ELU of it into `activation`.

    Where a window is None that array is left as it is. Maps have `size` columns; w is packed, as
    by `sampling_step.prepare`. x and `activation` go by the column.
    """
    inputs = x.reshape(-1)[x_window.places(where, size, rows, w.shape[1])]
    offsets = offset.reshape(-1)[offset_window.places(where, size, rows, columns)]
    result = inputs @ matrix(w, columns).astype(x.dtype) + offsets
    if y_window:
        y.reshape(-1)[y_window.places(where, size, rows, columns)] = result
    if activation_window:
        places = activation_window.places(where, size, rows, columns)
        activation.reshape(-1)[places] = elu.reference(result)


@kernel(also=("numba",))
def affine_gate_at(
    where, size, rows, channels, x, x_window, w, offset, offset_window, residual, residual_window,
    y, y_window, activation, activation_window,
):  # fmt: skip
    """residual + gate(x W + offset) (rows, channels) into y, and ELU of it into `activation`.

    w is packed with halves. residual and y stay in one place (a step of 0), and may be the same.
    """
    inputs = x.reshape(-1)[x_window.places(where, size, rows, w.shape[1])]
    offsets = offset.reshape(-1)[offset_window.places(where, size, rows, 2 * channels)]
    features = inputs @ matrix(w, 2 * channels, 2).astype(x.dtype) + offsets
    former = residual.reshape(-1)[residual_window.places(where, size, rows, channels)]
    result = former + gate.reference(features)
    y.reshape(-1)[y_window.places(where, size, rows, channels)] = result
    places = activation_window.places(where, size, rows, channels)
    activation.reshape(-1)[places] = elu.reference(result)


@kernel(also=("numba",))
def attend_at(where, query, past, output, output_window):
    """ELU of what the position reads from all before it, into `output`.

    query (N, heads, d); past (N, L, 2, heads, d) with keys and values of every position.
    """
    keys, values = past.transpose(2, 0, 3, 1, 4)
    read = sampling_step.attend.reference(query, keys, values, int(where[0]))
    places = output_window.places(where, 1, len(query), query.shape[1] * query.shape[2])
    output.reshape(-1)[places] = elu.reference(read.reshape(places.shape))


@kernel(also=("numba",))
def sample_at(
    where, size, logits, gumbel, codes, temperature, top_k, top_p, kept, weights, dropped
):
    """Draw the codes (N, L) of the position as `sample.sample_codes` does; those given (>= 0) stay.

    logits (N, K), gumbel (size, N, K) of the position's row. kept, weights (N, K) and dropped
    (N, K) int32 are room to work in; what they hold afterwards means nothing.
    """
    position = int(where[0])
    noise = gumbel[position % size]
    drawn = sample.sample_codes.reference(logits, noise, temperature, top_k, top_p)
    codes[:, position] = np.where(codes[:, position] < 0, drawn, codes[:, position])


@kernel(also=("numba",))
def embed_at(where, size, table, codes, y, y_window):
    """The vectors, rows of `table` (K, C), of the position's codes, out of (N, L), into y."""
    vectors = table[codes[:, int(where[0])]]
    y.reshape(-1)[y_window.places(where, size, *vectors.shape)] = vectors


@kernel(also=("numba",))
def advance(where):
    """The next position: where += 1."""
    where += 1


# The CUDA versions: sampling_step.cu and sample.cu.

_cuda = sampling_step.source


def _launch_product(kernel, rows, x, w, *arguments):
    blocks = sampling_step.blocks_of_product(w, rows)
    kernel += "_bfloat16" if w.dtype == np.uint16 else ""
    _cuda.launch(kernel, blocks, sampling_step.THREADS, x, w, *arguments)


@affine_at.version("cupy")
def _affine_at_cupy(
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


@affine_gate_at.version("cupy")
def _affine_gate_at_cupy(
    where, size, rows, channels, x, x_window, w, offset, offset_window, residual, residual_window,
    y, y_window, activation, activation_window,
):  # fmt: skip
    numbers = [*x_window[:3], *offset_window[1:3], *residual_window[:2], *y_window[:2]]
    sizes = (*activation_window[:3], rows, w.shape[1], channels, len(w))
    arrays = (offset, residual, y, activation, where)
    _launch_product("affine_gate_at", rows, x, w, *arrays, size, *numbers, *sizes)


@attend_at.version("cupy")
def _attend_at_cupy(where, query, past, output, output_window):
    images, heads, width = query.shape
    length = past.shape[1]
    shared = (length + sampling_step.THREADS) * query.dtype.itemsize
    sizes = (heads, length, width, *output_window[:2], 1 / width**0.5)
    blocks = images * heads
    arrays = (query, past, output, where)
    _cuda.launch("attend_at", blocks, sampling_step.THREADS, *arrays, *sizes, shared=shared)


@sample_at.version("cupy")
def _sample_at_cupy(
    where, size, logits, gumbel, codes, temperature, top_k, top_p, kept, weights, dropped
):
    rows, count = logits.shape
    drawing = int(temperature != 0)
    settings = (float(temperature if drawing else 1), int(top_k), float(top_p), drawing)
    arrays = (logits, gumbel, kept, weights, dropped, codes, where)
    sizes = (size, codes.shape[1], count)
    sample.source.launch("sample_codes_at", rows, cuda.THREADS, *arrays, *sizes, *settings)


@embed_at.version("cupy")
def _embed_at_cupy(where, size, table, codes, y, y_window):
    images, positions = codes.shape
    sizes = (size, positions, table.shape[1], *y_window[:3])
    _cuda.launch("embed_at", images, cuda.THREADS, table, codes, y, where, *sizes)


@advance.version("cupy")
def _advance_cupy(where):
    _cuda.launch("advance", 1, 1, where, dtype=np.float32)
