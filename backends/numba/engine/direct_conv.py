"""Convolutions without patches: the windows of neighbouring positions overlap in memory.

In a padded map (N, H, W, C) the k columns that a row of the kernel meets at one position, k * C
numbers, lie side by side, and those of the next position begin stride * C numbers later. So each
row of the kernel is a matrix product whose left factor is the map itself, read with that step, and
nothing needs to be copied into patches. `conv` and `causal_conv` say what is padded and which rows
of the kernel there are. Float32 only.
"""

import math

import numpy as np

from backends.numba.engine.compiled import compiled, copy, prange
from backends.numba.engine.products import Columns, pack
from backends.numba.engine.tile import BLOCK, CHUNK, add_rows

LINE_ROWS = 192  # positions whose sums one task holds, at least one line of them: 48 KB of sums
PANEL_ROWS = 240  # rows of a weight gradient that one task sums up


def padded(x, top, bottom, left, right, turned=False):
    """(N, H, W, C) with that many zeros around: (N, top + H + bottom, left + W + right, C).

    `turned` turns the map by 180 degrees first.
    """
    n, height, width, channels = x.shape
    y = np.empty((n, top + height + bottom, left + width + right, channels), x.dtype)
    _pad_loop(np.ascontiguousarray(x), top, left, turned, y)
    return y


def convolve(x, row, column, taps, stride, w, y, rows, columns):
    """y[n, i, j] = sum over rows a of the kernel of (window of x) @ (rows of w of a), in place.

    x       padded map (N, H, W, C); the first window begins at (row, column)
    taps    columns of the kernel: a window is taps * C numbers
    w       (R, D), the kernel's rows one after the other; the last one may be shorter
    y       (N, H', W', D), contiguous
    rows    those of y that are filled, and `columns`, as ranges in the order of the windows
    """
    n, height, width, channels = x.shape
    window, blocks = taps * channels, Columns(w)
    line = width * channels
    place = (x.reshape(-1), height * line, line, row * line + column * channels, stride)
    weights = (blocks.data, blocks.block_step, blocks.step, len(w), window)
    target = tuple((axis.start, axis.step, len(axis)) for axis in (rows, columns))
    lines = lines_of_task(len(rows), len(columns), LINE_ROWS)
    _convolve_loop(*place, stride * channels, *weights, lines, target, y)


def weight_gradient(x, taps, stride, dy, rows):
    """Gradient of `convolve` with respect to w: (rows, D), its windows beginning at (0, 0)."""
    n, height, width, channels = x.shape
    channels_out = dy.shape[-1]
    line = width * channels
    blocks = (
        dy.reshape(1, -1, BLOCK) if channels_out == BLOCK else pack(dy.reshape(-1, channels_out))
    )
    dw = np.empty((rows, channels_out), x.dtype)
    place = (x.reshape(-1), height * line, line, stride, stride * channels)
    _weight_gradient_loop(*place, taps * channels, blocks, dy.shape[1], dy.shape[2], dw)
    return dw


def lines_of_task(lines, width, most):
    """How many of a map's lines a task takes: at least one, otherwise `most` positions at most."""
    return max(1, min(lines, most // max(1, width)))


@compiled
def _pad_loop(x, top, left, turned, y):
    n, height, width, channels = x.shape
    rows, columns = y.shape[1:3]
    for task in prange(n * rows):
        image, row = task // rows, task % rows - top
        line = y[image, task % rows]
        if 0 <= row < height:
            line[:left] = 0
            line[left + width :] = 0
            for j in range(width):
                at, beside = (height - 1 - row, width - 1 - j) if turned else (row, j)
                copy(x[image, at, beside], line[left + j])
        else:
            line[:] = 0


@compiled
def _convolve_loop(
    x,
    image_step,
    line_step,
    origin,
    stride,
    step,
    w,
    block_step,
    w_step,
    length,
    window,
    lines,
    target,
    y,
):
    """A task: `lines` lines of one image's outputs, for one block of channels out.

        line of x     . . . . . . . . . . . . . .
        position 0    [ window ]                     times  w, the rows of the kernel's row a
        position 1        [ window ]                               (window, BLOCK)
        position 2            [ window ]             added to  sums (positions, BLOCK)
                      |--> `step` numbers from window to window

    The windows are not copied: the left factor of `add_rows` is the line of x itself, whose rows
    begin `step` apart and overlap. The sums of all the task's positions stay in the cache while it
    goes through the rows of the kernel, CHUNK numbers of a window at a time. At the end it writes
    them to its part of y, which no other task touches.
    """
    n, _, _, channels = y.shape
    (first_row, row_step, rows), (first_column, column_step, columns) = target
    groups, blocks = (rows + lines - 1) // lines, (channels + BLOCK - 1) // BLOCK
    for task in prange(n * groups * blocks):
        image, top = task // blocks // groups, task // blocks % groups * lines
        block, bottom = task % blocks, min(top + lines, rows)
        sums = np.zeros(((bottom - top) * columns, BLOCK), np.float32)
        for a in range((length + window - 1) // window):
            for first in range(a * window, min(length, a * window + window), CHUNK):
                count = min(CHUNK, min(length, a * window + window) - first)
                w_start = block * block_step + first * w_step
                for i in range(top, bottom):
                    start = origin + image * image_step + (i * stride + a) * line_step
                    start += first - a * window
                    at = (i - top) * columns
                    add_rows(x, start, step, 1, count, w, w_start, w_step, sums, at, columns)
        left = block * BLOCK
        width = min(BLOCK, channels - left)
        for i in range(top, bottom):
            for j in range(columns):
                values = sums[(i - top) * columns + j]
                line = y[image, first_row + i * row_step, first_column + j * column_step]
                for d in range(width):
                    line[left + d] = values[d]


@compiled
def _weight_gradient_loop(x, image_step, line_step, stride, step, window, dy, rows, columns, dw):
    length, channels = dw.shape
    blocks = (channels + BLOCK - 1) // BLOCK
    panels = (window + PANEL_ROWS - 1) // PANEL_ROWS
    images = dy.shape[1] // max(1, rows * columns)
    for task in prange((length + window - 1) // window * panels * blocks):
        a, panel, block = task // blocks // panels, task // blocks % panels, task % blocks
        first = panel * PANEL_ROWS
        count = min(PANEL_ROWS, min(window, length - a * window) - first)
        sums = np.zeros((max(0, count), BLOCK), np.float32)
        for line in range(images * rows):
            image, i = line // rows, line % rows
            start = image * image_step + (i * stride + a) * line_step + first
            w_start = (block * dy.shape[1] + line * columns) * BLOCK
            add_rows(x, start, 1, step, columns, dy, w_start, BLOCK, sums, 0, count)
        left = block * BLOCK
        for m in range(count):
            for d in range(min(BLOCK, channels - left)):
                dw[a * window + first + m, left + d] = sums[m, d]


def phases(kernel_size, stride, padding, size):
    """How the transpose of a strided convolution falls apart into convolutions of stride 1.

    Along one axis: pixel u of `size` receives from tap a and output i where u + padding = stride *
    i + a. Pixels with the same remainder r = (u + padding) mod stride share the taps r, r + stride,
    ...; in the order of rising i these run backwards. Yields (r, first pixel, first output of its
    window, taps, pixels) for every r.
    """
    for r in range(stride):
        pixel = (r - padding) % stride
        taps = max(0, math.ceil((kernel_size - r) / stride))
        first = (pixel + padding - r) // stride - taps + 1
        yield r, pixel, first, taps, max(0, math.ceil((size - pixel) / stride))
