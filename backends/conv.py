"""Two-dimensional convolution: images (N, H, W, C), weights (kernel, kernel, C in, C out).

Three kernels are closed under differentiation. With y = conv2d(x, w), the gradients are
dx = conv2d_input_gradient(dy, w) and dw = conv2d_weight_gradient(x, dy). A transposed convolution
*is* conv2d_input_gradient, so its own gradients are conv2d and conv2d_weight_gradient again.

`padding` zeros surround the image on every side; the output has
(H + 2 * padding - kernel) // stride + 1 rows.

The references sum over the kernel's taps, and serve float64, which only tests use, on the numba
backend, too. The fast versions are products of overlapping windows (`windows.py`); with stride 1,
kernel 1 and no padding, plain matrix products; on maps and with channels large enough, Winograd's
algorithm, where there is one (`winograd.py`). A transposed convolution to a few channels, such as
an image's three, is one product whose results are added up where they overlap.
"""

import numpy as np

from backends import cuda, device_product, windows, winograd
from backends.compiled import compiled, prange
from backends.precision import ProductKernel
from backends.product import Columns, matmul, multiply
from backends.selection import current_precision
from backends.transfer import array_module

FEW_CHANNELS = 16  # a transposed convolution to so few is one product, not one for each phase
FOLDED_NUMBERS = 2**19  # products to add up at a time: about the level-2 caches of two cores


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


@ProductKernel
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


@ProductKernel
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


@ProductKernel
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


def _is_pointwise(kernel_size, stride, padding):
    return kernel_size == 1 and stride == 1 and padding == 0


@conv2d.version("numba")
def _conv2d_numba(x, w, stride, padding):
    kernel_size, _, channels, channels_out = w.shape
    if _is_pointwise(kernel_size, stride, padding):
        y = matmul.versions["numba"](x.reshape(-1, channels), w[0, 0])
        return y.reshape(*x.shape[:3], channels_out)
    if x.dtype != np.float32:
        return conv2d.reference(x, w, stride, padding)
    rows, columns = (output_size(size, kernel_size, stride, padding) for size in x.shape[1:3])
    if winograd.pays(kernel_size, stride, channels, channels_out, (rows, columns)):
        return winograd.convolve(x, w, stride, padding)
    y = np.empty((len(x), rows, columns, channels_out), x.dtype)
    surrounded = windows.padded(x, *[padding] * 4)
    windows.convolve(surrounded, 0, 0, kernel_size, stride, w.reshape(-1, channels_out), y)
    return y


@conv2d_weight_gradient.version("numba")
def _conv2d_weight_gradient_numba(x, dy, kernel_size, stride, padding):
    channels, channels_out = x.shape[-1], dy.shape[-1]
    shape = (kernel_size, kernel_size, channels, channels_out)
    if _is_pointwise(kernel_size, stride, padding):
        rows = x.reshape(-1, channels)
        return matmul.versions["numba"](rows.T, dy.reshape(-1, channels_out)).reshape(shape)
    if x.dtype != np.float32:
        return conv2d_weight_gradient.reference(x, dy, kernel_size, stride, padding)
    if winograd.pays(kernel_size, stride, channels, channels_out, dy.shape[1:3]):
        return winograd.weight_gradient(x, dy, kernel_size, stride, padding)
    surrounded = windows.padded(x, *[padding] * 4)
    rows = kernel_size**2 * channels
    return windows.weight_gradient(surrounded, kernel_size, stride, dy, rows).reshape(shape)


@conv2d_input_gradient.version("numba")
def _conv2d_input_gradient_numba(dy, w, stride, padding, height, width):
    kernel_size, _, channels, channels_out = w.shape
    if _is_pointwise(kernel_size, stride, padding):
        dx = matmul.versions["numba"](dy.reshape(-1, channels_out), w[0, 0].T)
        return dx.reshape(*dy.shape[:3], channels)
    if dy.dtype != np.float32:
        return conv2d_input_gradient.reference(dy, w, stride, padding, height, width)
    if winograd.pays(kernel_size, stride, channels, channels_out, dy.shape[1:3]):
        return winograd.convolve_transposed(dy, w, stride, padding, height, width)
    if channels <= FEW_CHANNELS:
        return _folded_products(dy, w, stride, padding, height, width)
    return _phase_convolutions(dy, w, stride, padding, height, width)


def _phase_convolutions(dy, w, stride, padding, height, width):
    """The transpose as stride x stride convolutions, each for every stride-th pixel."""
    kernel_size, _, channels, channels_out = w.shape
    down, across = (
        list(windows.phases(kernel_size, stride, padding, size)) for size in (height, width)
    )
    margins = [
        (max(0, *(-p[2] for p in axis)), max(0, *(p[2] + p[3] + p[4] - 1 - size for p in axis)))
        for axis, size in ((down, dy.shape[1]), (across, dy.shape[2]))
    ]
    (top, bottom), (left, right) = margins
    surrounded = windows.padded(dy, top, bottom, left, right)
    dx = (np.zeros if stride > kernel_size else np.empty)((len(dy), height, width, channels), "f4")
    for r, i, row, row_taps, _ in down:
        for q, j, column, column_taps, _ in across:
            if not row_taps or not column_taps:
                continue  # between the taps: no output reads these pixels
            taps = w[r::stride, q::stride][::-1, ::-1].swapaxes(2, 3).reshape(-1, channels)
            pixels = dx[:, i::stride, j::stride]
            windows.convolve(surrounded, top + row, left + column, column_taps, 1, taps, pixels)
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


# The CUDA versions: conv.cu makes the patches, cuBLAS multiplies them.

DEVICE_PATCH_BYTES = 2**28  # patches of one block on a device: long products, bounded memory
_cuda = cuda.Source("conv.cu")


class DevicePatches:
    """The patch matrix of maps (N, H, W, C) on the device, some output rows at a time.

    `taps` of the kernel's taps are taken, in raster order: all of them in an ordinary convolution,
    the first ones in a causal one. The maps that come out have `rows` x `columns` positions.
    """

    def __init__(self, shape, rows, columns, kernel_size, taps, stride, padding):
        self.count, self.height, self.width, self.channels = shape
        self.rows, self.columns = rows, columns
        self.kernel_size, self.taps = kernel_size, taps
        self.geometry = (*shape[1:], rows, columns, kernel_size, taps, stride, padding)

    def blocks(self, dtype):
        """(slice of positions, first row, uninitialised patches (positions, taps * C)), in turn."""
        import cupy

        lines, length = self.count * self.rows, self.taps * self.channels
        bytes_per_line = max(1, self.columns * length * dtype.itemsize)
        step = max(1, min(lines, DEVICE_PATCH_BYTES // bytes_per_line))
        buffer = cupy.empty((step * self.columns, length), dtype)
        for first in range(0, lines, step):
            positions = slice(first * self.columns, min(lines, first + step) * self.columns)
            yield positions, first, buffer[: positions.stop - positions.start]

    def unfold(self, x, first, patches):
        """Fill `patches` from x, starting with output row `first` of all rows of all maps.

        Patches of x's own dtype hold its numbers, those of uint16 the rounded ones as 16-bit
        patterns, factors of a product in half precision.
        """
        threads = cuda.threads_along(self.kernel_size * self.channels)
        blocks = cuda.blocks_of(len(patches), threads[1])
        place = (*self.geometry, first, len(patches) // self.columns)
        if patches.dtype == x.dtype:
            _cuda.launch("unfold", blocks, threads, x, patches, *place)
        else:
            form = device_product.HALVES[current_precision()]
            _cuda.launch("unfold_halves", blocks, threads, x, patches, *place, form)

    def fold(self, patches, first, x):
        """Add `patches` to the pixels of x that they came from: the transpose of `unfold`."""
        lines = len(patches) // self.columns
        if lines == 0:
            return
        first_image = first // self.rows
        images = (first + lines - 1) // self.rows - first_image + 1
        threads = cuda.threads_along(self.channels)
        blocks = cuda.blocks_of(images * self.height * self.width, threads[1])
        place = (first, lines, first_image, images)
        _cuda.launch("fold", blocks, threads, patches, x, *self.geometry, *place)


def convolve_on_device(patches, x, matrix):
    """Patches of x times matrix (taps * C, D): -> (N, rows, columns, D)."""
    xp = array_module(x)
    x = cuda.contiguous(x)
    y = xp.empty((patches.count * patches.rows * patches.columns, matrix.shape[-1]), x.dtype)
    matrix = device_product.factor(matrix)
    for positions, first, block in patches.blocks(device_product.factor_dtype(x.dtype)):
        patches.unfold(x, first, block)
        device_product.multiply(block, matrix, out=y[positions])
    return y.reshape(patches.count, patches.rows, patches.columns, matrix.shape[-1])


def input_gradient_on_device(patches, dy, matrix):
    """The transpose of `convolve_on_device` as a linear map of x."""
    xp = array_module(dy)
    dy = cuda.contiguous(dy).reshape(-1, dy.shape[-1])
    shape = (patches.count, patches.height, patches.width, patches.channels)
    dx, matrix = xp.zeros(shape, dy.dtype), device_product.factor(matrix).T
    for positions, first, block in patches.blocks(dy.dtype):
        device_product.multiply(dy[positions], matrix, out=block)
        patches.fold(block, first, dx)
    return dx


def weight_gradient_on_device(patches, x, dy):
    """Gradient of `convolve_on_device` with respect to its matrix: (taps * C, D)."""
    xp = array_module(x)
    x, dy = cuda.contiguous(x), cuda.contiguous(dy).reshape(-1, dy.shape[-1])
    dw = xp.zeros((patches.taps * patches.channels, dy.shape[-1]), x.dtype)
    for positions, first, block in patches.blocks(device_product.factor_dtype(x.dtype)):
        patches.unfold(x, first, block)
        device_product.multiply(block.T, dy[positions], out=dw, add=True)
    return dw


@conv2d.version("cupy")
def _conv2d_cupy(x, w, stride, padding):
    kernel_size, _, channels, channels_out = w.shape
    matrix = cuda.contiguous(w).reshape(-1, channels_out)
    if _is_pointwise(kernel_size, stride, padding):
        y = device_product.multiply(x.reshape(-1, channels), matrix)
        return y.reshape(*x.shape[:3], channels_out)
    rows, columns = (output_size(n, kernel_size, stride, padding) for n in x.shape[1:3])
    window = (kernel_size, kernel_size**2, stride, padding)
    return convolve_on_device(DevicePatches(x.shape, rows, columns, *window), x, matrix)


@conv2d_input_gradient.version("cupy")
def _conv2d_input_gradient_cupy(dy, w, stride, padding, height, width):
    kernel_size, _, channels, channels_out = w.shape
    matrix = cuda.contiguous(w).reshape(-1, channels_out)
    if _is_pointwise(kernel_size, stride, padding):
        dx = device_product.multiply(dy.reshape(-1, channels_out), matrix.T)
        return dx.reshape(*dy.shape[:3], channels)
    shape, window = (len(dy), height, width, channels), (kernel_size**2, stride, padding)
    patches = DevicePatches(shape, *dy.shape[1:3], kernel_size, *window)
    return input_gradient_on_device(patches, dy, matrix)


@conv2d_weight_gradient.version("cupy")
def _conv2d_weight_gradient_cupy(x, dy, kernel_size, stride, padding):
    channels, channels_out = x.shape[-1], dy.shape[-1]
    if _is_pointwise(kernel_size, stride, padding):
        dw = device_product.multiply(x.reshape(-1, channels).T, dy.reshape(-1, channels_out))
        return dw.reshape(1, 1, channels, channels_out)
    window = (kernel_size**2, stride, padding)
    patches = DevicePatches(x.shape, *dy.shape[1:3], kernel_size, *window)
    dw = weight_gradient_on_device(patches, x, dy)
    return dw.reshape(kernel_size, kernel_size, channels, channels_out)
