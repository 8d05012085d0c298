"""Convolutions on the processor.

They are products of overlapping windows (`engine/direct_conv.py`); with stride 1, kernel 1 and no
padding, plain matrix products; on maps and with channels large enough, Winograd's algorithm, where
there is one (`engine/winograd.py`). A transposed convolution to a few channels, such as an image's
three, is one product whose results are added up where they overlap. Float64, which only tests use,
is left to the reference.
"""

import numpy as np

from backends import kernels
from backends.numba.engine import direct_conv, winograd
from backends.numba.engine.compiled import compiled, prange
from backends.numba.engine.products import Columns, multiply
from backends.numba.matmul import matmul
from backends.reference import conv as reference
from backends.reference.conv import is_pointwise, output_size

FEW_CHANNELS = 16  # a transposed convolution to so few is one product, not one for each phase
FOLDED_NUMBERS = 2**19  # products to add up at a time: about the level-2 caches of two cores


@kernels.conv2d.version("numba")
def conv2d(x, w, stride, padding, rounded=False):
    kernel_size, _, channels, channels_out = w.shape
    if is_pointwise(kernel_size, stride, padding):
        y = matmul(x.reshape(-1, channels), w[0, 0])
        return y.reshape(*x.shape[:3], channels_out)
    if x.dtype != np.float32:
        return reference.conv2d(x, w, stride, padding)
    rows, columns = (output_size(size, kernel_size, stride, padding) for size in x.shape[1:3])
    if winograd.pays(kernel_size, stride, channels, channels_out, (rows, columns)):
        return winograd.convolve(x, w, stride, padding)
    y = np.empty((len(x), rows, columns, channels_out), x.dtype)
    surrounded = direct_conv.padded(x, *[padding] * 4)
    taps = w.reshape(-1, channels_out)
    everywhere = (range(rows), range(columns))
    direct_conv.convolve(surrounded, 0, 0, kernel_size, stride, taps, y, *everywhere)
    return y


@kernels.conv2d_weight_gradient.version("numba")
def conv2d_weight_gradient(x, dy, kernel_size, stride, padding):
    channels, channels_out = x.shape[-1], dy.shape[-1]
    shape = (kernel_size, kernel_size, channels, channels_out)
    if is_pointwise(kernel_size, stride, padding):
        rows = x.reshape(-1, channels)
        return matmul(rows.T, dy.reshape(-1, channels_out)).reshape(shape)
    if x.dtype != np.float32:
        return reference.conv2d_weight_gradient(x, dy, kernel_size, stride, padding)
    if winograd.pays(kernel_size, stride, channels, channels_out, dy.shape[1:3]):
        return winograd.weight_gradient(x, dy, kernel_size, stride, padding)
    surrounded = direct_conv.padded(x, *[padding] * 4)
    rows = kernel_size**2 * channels
    return direct_conv.weight_gradient(surrounded, kernel_size, stride, dy, rows).reshape(shape)


@kernels.conv2d_input_gradient.version("numba")
def conv2d_input_gradient(dy, w, stride, padding, height, width, rounded=False):
    kernel_size, _, channels, channels_out = w.shape
    if is_pointwise(kernel_size, stride, padding):
        dx = matmul(dy.reshape(-1, channels_out), w[0, 0].T)
        return dx.reshape(*dy.shape[:3], channels)
    if dy.dtype != np.float32:
        return reference.conv2d_input_gradient(dy, w, stride, padding, height, width)
    if winograd.pays(kernel_size, stride, channels, channels_out, dy.shape[1:3]):
        return winograd.convolve_transposed(dy, w, stride, padding, height, width)
    if channels <= FEW_CHANNELS:
        return _folded_products(dy, w, stride, padding, height, width)
    return _phase_convolutions(dy, w, stride, padding, height, width)


def _phase_convolutions(dy, w, stride, padding, height, width):
    """The transpose as stride x stride convolutions, each for every stride-th pixel."""
    kernel_size, _, channels, channels_out = w.shape
    down, across = (
        list(direct_conv.phases(kernel_size, stride, padding, size)) for size in (height, width)
    )
    margins = [
        (max(0, *(-p[2] for p in axis)), max(0, *(p[2] + p[3] + p[4] - 1 - size for p in axis)))
        for axis, size in ((down, dy.shape[1]), (across, dy.shape[2]))
    ]
    (top, bottom), (left, right) = margins
    surrounded = direct_conv.padded(dy, top, bottom, left, right)
    dx = (np.zeros if stride > kernel_size else np.empty)((len(dy), height, width, channels), "f4")
    for r, i, row, row_taps, _ in down:
        for q, j, column, column_taps, _ in across:
            if not row_taps or not column_taps:
                continue  # between the taps: no output reads these pixels
            taps = w[r::stride, q::stride][::-1, ::-1].swapaxes(2, 3).reshape(-1, channels)
            window = (top + row, left + column, column_taps, 1)
            pixels = (range(i, height, stride), range(j, width, stride))
            direct_conv.convolve(surrounded, *window, taps, dx, *pixels)
    return dx


def _folded_products(dy, w, stride, padding, height, width):
    """One product dy W^T, a few lines at a time, whose results every pixel then adds up."""
    kernel_size, _, channels, channels_out = w.shape
    columns_of_w = Columns(w.reshape(-1, channels_out).T)
    n, rows, columns, _ = dy.shape
    dy = dy.reshape(n * rows, columns, channels_out)
    dx = np.zeros((n, height, width * channels), dy.dtype)
    step = max(1, FOLDED_NUMBERS // (columns * columns_of_w.shape[1]))
    for first in range(0, n * rows, step):
        lines = dy[first : first + step]
        products = multiply(lines.reshape(-1, channels_out), columns_of_w)
        products = products.reshape(len(lines), columns, kernel_size, kernel_size * channels)
        _fold_loop(products, channels, first, rows, stride, padding, dx)
    return dx.reshape(n, height, width, channels)


@compiled
def _fold_loop(products, channels, first, rows, stride, padding, x):
    """Every pixel adds up what the lines first, first + 1, ... of all images have for it.

    What one line has for one row of pixels, kernel * C numbers from each position, lies side by
    side there; of these, [low, high) lie inside the image.
    """
    lines, columns, kernel_size, length = products.shape
    height, width = x.shape[1:]
    image_first, image_last = first // rows, (first + lines - 1) // rows
    for target in prange((image_last - image_first + 1) * height):
        image, row = image_first + target // height, target % height
        for a in range((row + padding) % stride, kernel_size, stride):
            i = (row + padding - a) // stride
            line = image * rows + i - first
            if 0 <= i < rows and 0 <= line < lines:
                for j in range(columns):
                    start = (j * stride - padding) * channels
                    low, high = min(length, max(0, -start)), max(0, min(length, width - start))
                    numbers = products[line, j, a, low:high]
                    pixels = x[image, row, start + low : start + high]
                    for t in range(len(numbers)):
                        pixels[t] += numbers[t]
