"""The work of one position with every array at a fixed place: what a CUDA graph can hold.

A graph is recorded once and launched for every position, with the same arguments each time. So
these kernels read the position from memory (`where`, one int64), and find by themselves what
belongs to it. They do what those of `sampling_step` do, and write into arrays that were there
before. Where the numbers of an image lie is told by a `Window`.

These are for the processor and say what the numbers are; on a device nothing may be allocated.
"""

from typing import NamedTuple

import numpy as np

from backends.reference import sample, sampling_step
from backends.reference.elementwise import elu, gate
from backends.reference.packing import matrix


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


def affine_at(
    where, size, rows, columns, x, x_window, w, offset, offset_window, y, y_window, activation,
    activation_window,
):  # fmt: skip
    """x W + offset (rows, columns) into y, and ELU of it into `activation`.

    Where a window is None that array is left as it is. Maps have `size` columns; w is packed, as
    by `packing.prepare_weights`. x and `activation` go by the column.
    """
    inputs = x.reshape(-1)[x_window.places(where, size, rows, w.shape[1])]
    offsets = offset.reshape(-1)[offset_window.places(where, size, rows, columns)]
    result = inputs @ matrix(w, columns).astype(x.dtype) + offsets
    if y_window:
        y.reshape(-1)[y_window.places(where, size, rows, columns)] = result
    if activation_window:
        places = activation_window.places(where, size, rows, columns)
        activation.reshape(-1)[places] = elu(result)


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
    result = former + gate(features)
    y.reshape(-1)[y_window.places(where, size, rows, channels)] = result
    places = activation_window.places(where, size, rows, channels)
    activation.reshape(-1)[places] = elu(result)


def attend_at(where, query, past, output, output_window):
    """ELU of what the position reads from all before it, into `output`.

    query (N, heads, d); past (N, L, 2, heads, d) with keys and values of every position.
    """
    keys, values = past.transpose(2, 0, 3, 1, 4)
    read = sampling_step.attend(query, keys, values, int(where[0]))
    places = output_window.places(where, 1, len(query), query.shape[1] * query.shape[2])
    output.reshape(-1)[places] = elu(read.reshape(places.shape))


def sample_at(
    where, size, logits, gumbel, codes, temperature, top_k, top_p, kept, weights, dropped
):
    """Draw the codes (N, L) of the position as `sample_codes` does; those given (>= 0) stay.

    logits (N, K), gumbel (size, N, K) of the position's row. kept, weights (N, K) and dropped
    (N, K) int32 are room to work in; what they hold afterwards means nothing.
    """
    position = int(where[0])
    noise = gumbel[position % size]
    drawn = sample.sample_codes(logits, noise, temperature, top_k, top_p)
    codes[:, position] = np.where(codes[:, position] < 0, drawn, codes[:, position])


def embed_at(where, size, table, codes, y, y_window):
    """The vectors, rows of `table` (K, C), of the position's codes, out of (N, L), into y."""
    vectors = table[codes[:, int(where[0])]]
    y.reshape(-1)[y_window.places(where, size, *vectors.shape)] = vectors


def advance(where):
    """The next position: where += 1."""
    where += 1
