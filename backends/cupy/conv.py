"""Convolutions on a device: conv.cu makes the patches, cuBLAS multiplies them."""

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cublas, cuda
from backends.kernel import current_precision
from backends.reference.conv import is_pointwise, output_size

PATCH_BYTES = 2**28  # patches of one block: long products, bounded memory
_cuda = cuda.Source(__file__)


class Patches:
    """The patch matrix of maps (N, H, W, C), some output rows at a time.

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
        lines, length = self.count * self.rows, self.taps * self.channels
        bytes_per_line = max(1, self.columns * length * dtype.itemsize)
        step = max(1, min(lines, PATCH_BYTES // bytes_per_line))
        buffer = array_module().empty((step * self.columns, length), dtype)
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
            form = cublas.HALVES[current_precision()]
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


def convolve(patches, x, matrix):
    """Patches of x times matrix (taps * C, D): -> (N, rows, columns, D)."""
    xp = array_module(x)
    x = cuda.contiguous(x)
    y = xp.empty((patches.count * patches.rows * patches.columns, matrix.shape[-1]), x.dtype)
    matrix = cublas.factor(matrix)
    for positions, first, block in patches.blocks(cublas.factor_dtype(x.dtype)):
        patches.unfold(x, first, block)
        cublas.multiply(block, matrix, out=y[positions])
    return y.reshape(patches.count, patches.rows, patches.columns, matrix.shape[-1])


def input_gradient(patches, dy, matrix):
    """The transpose of `convolve` as a linear map of x."""
    xp = array_module(dy)
    dy = cuda.contiguous(dy).reshape(-1, dy.shape[-1])
    shape = (patches.count, patches.height, patches.width, patches.channels)
    dx, matrix = xp.zeros(shape, dy.dtype), cublas.factor(matrix).T
    for positions, first, block in patches.blocks(dy.dtype):
        cublas.multiply(dy[positions], matrix, out=block)
        patches.fold(block, first, dx)
    return dx


def weight_gradient(patches, x, dy):
    """Gradient of `convolve` with respect to its matrix: (taps * C, D)."""
    xp = array_module(x)
    x, dy = cuda.contiguous(x), cuda.contiguous(dy).reshape(-1, dy.shape[-1])
    dw = xp.zeros((patches.taps * patches.channels, dy.shape[-1]), x.dtype)
    for positions, first, block in patches.blocks(cublas.factor_dtype(x.dtype)):
        patches.unfold(x, first, block)
        cublas.multiply(block.T, dy[positions], out=dw, add=True)
    return dw


@kernels.conv2d.version("cupy")
def conv2d(x, w, stride, padding):
    kernel_size, _, channels, channels_out = w.shape
    matrix = cuda.contiguous(w).reshape(-1, channels_out)
    if is_pointwise(kernel_size, stride, padding):
        y = cublas.multiply(x.reshape(-1, channels), matrix)
        return y.reshape(*x.shape[:3], channels_out)
    rows, columns = (output_size(n, kernel_size, stride, padding) for n in x.shape[1:3])
    window = (kernel_size, kernel_size**2, stride, padding)
    return convolve(Patches(x.shape, rows, columns, *window), x, matrix)


@kernels.conv2d_input_gradient.version("cupy")
def conv2d_input_gradient(dy, w, stride, padding, height, width):
    kernel_size, _, channels, channels_out = w.shape
    matrix = cuda.contiguous(w).reshape(-1, channels_out)
    if is_pointwise(kernel_size, stride, padding):
        dx = cublas.multiply(dy.reshape(-1, channels_out), matrix.T)
        return dx.reshape(*dy.shape[:3], channels)
    shape, window = (len(dy), height, width, channels), (kernel_size**2, stride, padding)
    patches = Patches(shape, *dy.shape[1:3], kernel_size, *window)
    return input_gradient(patches, dy, matrix)


@kernels.conv2d_weight_gradient.version("cupy")
def conv2d_weight_gradient(x, dy, kernel_size, stride, padding):
    channels, channels_out = x.shape[-1], dy.shape[-1]
    if is_pointwise(kernel_size, stride, padding):
        dw = cublas.multiply(x.reshape(-1, channels).T, dy.reshape(-1, channels_out))
        return dw.reshape(1, 1, channels, channels_out)
    window = (kernel_size**2, stride, padding)
    patches = Patches(x.shape, *dy.shape[1:3], kernel_size, *window)
    dw = weight_gradient(patches, x, dy)
    return dw.reshape(kernel_size, kernel_size, channels, channels_out)
