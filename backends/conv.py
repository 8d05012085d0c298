"""Two-dimensional convolution: images (N, H, W, C), weights (kernel, kernel, C in, C out).

Three kernels are closed under differentiation. With y = conv2d(x, w), the gradients are
dx = conv2d_input_gradient(dy, w) and dw = conv2d_weight_gradient(x, dy). A transposed convolution
*is* conv2d_input_gradient, so its own gradients are conv2d and conv2d_weight_gradient again.

`padding` zeros surround the image on every side; the output has
(H + 2 * padding - kernel) // stride + 1 rows.

The references sum over the kernel's taps. The fast versions are a matrix product over *patches*
(all taps of one output position side by side in memory), a few output rows at a time so that the
patches stay in the cache. With stride 1, kernel 1 and no padding the image is its own patch matrix.
"""

import math

import numpy as np

from backends.compiled import compiled, prange
from backends.product import Columns, matmul, multiply
from backends.selection import kernel
from backends.transfer import array_module

PATCH_BYTES = 2 * 2**20  # patches of one block: about the level-2 caches of two cores


def output_size(size, kernel_size, stride, padding):
    """Rows (or columns) of a convolution's output for `size` rows of input."""
    return (size + 2 * padding - kernel_size) // stride + 1


def _taps(x_padded, kernel_size, stride, rows, columns):
    """((a, b), view) for each tap: the elements of the padded image that it meets."""
    for a in range(kernel_size):
        for b in range(kernel_size):
            row_slice = slice(a, a + stride * (rows - 1) + 1, stride)
            column_slice = slice(b, b + stride * (columns - 1) + 1, stride)
            yield (a, b), x_padded[:, row_slice, column_slice]


def _pad(x, padding):
    return array_module(x).pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))


@kernel
def conv2d(x, w, stride, padding):
    """y[n, i, j] = sum over taps (a, b) of x[n, i * stride + a - padding, same for j, b] w[a, b].

    (N, H, W, C), (kernel, kernel, C, D) -> (N, H', W', D).
    """
    n, height, width, _ = x.shape
    rows = output_size(height, w.shape[0], stride, padding)
    columns = output_size(width, w.shape[0], stride, padding)
    y = array_module(x).zeros((n, rows, columns, w.shape[-1]), x.dtype)
    for tap, view in _taps(_pad(x, padding), w.shape[0], stride, rows, columns):
        y += view @ w[tap]
    return y


@kernel
def conv2d_input_gradient(dy, w, stride, padding, height, width):
    """The transpose of `conv2d` as a linear map of x, to an image of (height, width).

    (N, H', W', D), (kernel, kernel, C, D) -> (N, height, width, C).
    """
    n, rows, columns, _ = dy.shape
    padded = (n, height + 2 * padding, width + 2 * padding, w.shape[2])
    dx = array_module(dy).zeros(padded, dy.dtype)
    for tap, view in _taps(dx, w.shape[0], stride, rows, columns):
        view += dy @ w[tap].T
    return dx[:, padding : padding + height, padding : padding + width]


@kernel
def conv2d_weight_gradient(x, dy, kernel_size, stride, padding):
    """Gradient of `conv2d` with respect to w.

    (N, H, W, C), (N, H', W', D) -> (kernel, kernel, C, D).
    """
    _, rows, columns, channels_out = dy.shape
    shape = (kernel_size, kernel_size, x.shape[-1], channels_out)
    dw = array_module(x).zeros(shape, x.dtype)
    for tap, view in _taps(_pad(x, padding), kernel_size, stride, rows, columns):
        dw[tap] = view.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, channels_out)
    return dw


def patch_blocks(lines, shape, dtype):
    """Cut `lines` output rows into blocks: (slice of lines, uninitialised patches (count, *shape)).

    One buffer of about PATCH_BYTES serves all blocks: fresh memory would cost more than arithmetic.
    """
    bytes_per_line = math.prod(shape) * dtype.itemsize
    step = max(1, min(lines, PATCH_BYTES // max(1, bytes_per_line)))
    buffer = np.empty((step, *shape), dtype)
    for start in range(0, lines, step):
        yield slice(start, start + step), buffer[: lines - start]


def _is_pointwise(kernel_size, stride, padding):
    return kernel_size == 1 and stride == 1 and padding == 0


@conv2d.version("numba")
def _conv2d_numba(x, w, stride, padding):
    kernel_size, _, channels, channels_out = w.shape
    matrix = w.reshape(-1, channels_out)
    if _is_pointwise(kernel_size, stride, padding):
        y = matmul.versions["numba"](x.reshape(-1, channels), matrix)
        return y.reshape(*x.shape[:3], channels_out)
    n, height, width, _ = x.shape
    rows = output_size(height, kernel_size, stride, padding)
    columns = output_size(width, kernel_size, stride, padding)
    image_lines = np.ascontiguousarray(x).reshape(n, height, width * channels)
    columns_of_w = Columns(matrix)
    y = np.empty((n * rows, columns, channels_out), x.dtype)
    shape = (columns, kernel_size, kernel_size * channels)
    for lines, patches in patch_blocks(n * rows, shape, x.dtype):
        _unfold_loop(image_lines, channels, lines.start, rows, stride, padding, patches)
        out = y[lines].reshape(-1, channels_out)
        multiply(patches.reshape(-1, len(matrix)), columns_of_w, out)
    return y.reshape(n, rows, columns, channels_out)


@conv2d_input_gradient.version("numba")
def _conv2d_input_gradient_numba(dy, w, stride, padding, height, width):
    kernel_size, _, channels, channels_out = w.shape
    matrix = w.reshape(-1, channels_out)
    if _is_pointwise(kernel_size, stride, padding):
        dx = matmul.versions["numba"](dy.reshape(-1, channels_out), matrix.T)
        return dx.reshape(*dy.shape[:3], channels)
    n, rows, columns, _ = dy.shape
    dy = dy.reshape(n * rows, columns, channels_out)
    columns_of_w = Columns(matrix.T)
    dx = np.zeros((n, height, width * channels), dy.dtype)
    shape = (columns, kernel_size, kernel_size * channels)
    for lines, patches in patch_blocks(n * rows, shape, dy.dtype):
        out = patches.reshape(-1, len(matrix))
        multiply(dy[lines].reshape(-1, channels_out), columns_of_w, out)
        _fold_loop(patches, channels, lines.start, rows, stride, padding, dx)
    return dx.reshape(n, height, width, channels)


@conv2d_weight_gradient.version("numba")
def _conv2d_weight_gradient_numba(x, dy, kernel_size, stride, padding):
    n, rows, columns, channels_out = dy.shape
    _, height, width, channels = x.shape
    if _is_pointwise(kernel_size, stride, padding):
        rows = x.reshape(-1, channels)
        dw = matmul.versions["numba"](rows.T, dy.reshape(-1, channels_out))
        return dw.reshape(1, 1, channels, channels_out)
    image_lines = np.ascontiguousarray(x).reshape(n, height, width * channels)
    dy = dy.reshape(n * rows, columns, channels_out)
    dw = np.zeros((kernel_size**2 * channels, channels_out), x.dtype)
    shape = (columns, kernel_size, kernel_size * channels)
    for lines, patches in patch_blocks(n * rows, shape, x.dtype):
        _unfold_loop(image_lines, channels, lines.start, rows, stride, padding, patches)
        columns_of_dy = Columns(dy[lines].reshape(-1, channels_out))
        multiply(patches.reshape(-1, len(dw)).T, columns_of_dy, dw, add=True)
    return dw.reshape(kernel_size, kernel_size, channels, channels_out)


# In both loops one row of a patch, kernel * C numbers, lies side by side in the image, too. Of
# these, [low, high) lie inside the image. The patches are those of output rows first, first + 1,
# ... when the rows of all images are counted through. Slices are ten times as fast here as
# x[image, row, start + t], whose index might be negative and so is not vectorised.


@compiled
def _unfold_loop(x, channels, first, rows, stride, padding, patches):
    lines, columns, kernel_size, length = patches.shape
    height, width = x.shape[1:]
    for line in prange(lines):
        image, i = (first + line) // rows, (first + line) % rows
        for j in range(columns):
            start = (j * stride - padding) * channels
            low, high = min(length, max(0, -start)), max(0, min(length, width - start))
            for a in range(kernel_size):
                row = i * stride + a - padding
                patch = patches[line, j, a]
                if 0 <= row < height:
                    patch[:low] = 0
                    patch[low:high] = x[image, row, start + low : start + high]
                    patch[high:] = 0
                else:
                    patch[:] = 0


@compiled
def _fold_loop(patches, channels, first, rows, stride, padding, x):
    """The transpose of `_unfold_loop`: every pixel adds up the patch elements that it went into."""
    lines, columns, kernel_size, length = patches.shape
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
                    patch = patches[line, j, a, low:high]
                    pixels = x[image, row, start + low : start + high]
                    for t in range(len(patch)):
                        pixels[t] += patch[t]
