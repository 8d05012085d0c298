"""Convolutions on a device: conv.cu makes the patches, cuBLAS multiplies them."""

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cublas, cuda, half
from backends.reference.conv import is_pointwise, output_size

PATCH_BYTES = 2**29  # patches of one block: long products, bounded memory
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
        """(slice of positions, first row, uninitialised patches (positions, taps * C)), in turn.

        Patches of whole images where the block has room for one. In half precision a `Half`.
        """
        lines, length = self.count * self.rows, self.taps * self.channels
        itemsize = 2 if half.is_half(dtype) else np.dtype(dtype).itemsize
        step = max(1, min(lines, PATCH_BYTES // max(1, self.columns * length * itemsize)))
        step -= step % self.rows if step > self.rows else 0
        buffer = half.empty(array_module(), (step * self.columns, length), dtype)
        for first in range(0, lines, step):
            positions = slice(first * self.columns, min(lines, first + step) * self.columns)
            yield positions, first, buffer[: positions.stop - positions.start]

    def unfold(self, x, first, patches):
        """Fill `patches` from x, starting with output row `first` of all rows of all maps."""
        (x, _), (patches, _) = half.parts(x), half.parts(patches)
        pixel = self.channels * x.dtype.itemsize
        word = next(n for n in (16, 4, 2) if pixel % n == 0)
        words = pixel // word
        threads = cuda.threads_along(self.kernel_size * words)
        blocks = cuda.blocks_of(len(patches), threads[1])
        place = (*self.geometry[:2], words, *self.geometry[3:], first, len(patches) // self.columns)
        _cuda.launch("unfold", blocks, threads, x, patches, word, *place, dtype=np.float32)

    def fold(self, patches, first, x, add):
        """Write `patches` to the pixels of x that they came from: the transpose of `unfold`.

        With `add` they are added to what is there.
        """
        lines = len(patches) // self.columns
        first_image = first // self.rows
        images = (first + lines - 1) // self.rows - first_image + 1
        size = 8 if self.channels % 8 == 0 else 1
        threads = cuda.threads_along(self.channels // size)
        blocks = cuda.blocks_of(images * self.height * self.width, threads[1])
        arrays = (*half.parts(patches), *half.parts(x), int(add), size)
        place = (first, lines, first_image, images)
        _cuda.launch("fold", blocks, threads, *arrays, *self.geometry, *place, dtype=x.dtype)


def convolve(patches, x, matrix, rounded):
    """Patches of x times matrix (taps * C, D): -> (N, rows, columns, D)."""
    x, matrix = half.halved(x), half.halved(matrix)
    shape = (patches.count * patches.rows * patches.columns, matrix.shape[-1])
    y = half.empty(array_module(x), shape, x.dtype, rounded)
    for positions, first, block in patches.blocks(x.dtype):
        patches.unfold(x, first, block)
        cublas.multiply(block, matrix, out=y[positions])
    return y.reshape(patches.count, patches.rows, patches.columns, matrix.shape[-1])


def input_gradient(patches, dy, matrix, rounded):
    """The transpose of `convolve` as a linear map of x."""
    xp, dtype = array_module(dy), dy.dtype
    dy, matrix = half.halved(dy).reshape(-1, dy.shape[-1]), half.halved(matrix).T
    shape = (patches.count, patches.height, patches.width, patches.channels)
    blocks = list(patches.blocks(dtype))
    in_parts = not blocks or any(first % patches.rows for _, first, _ in blocks)  # of an image
    dx = xp.zeros(shape, dtype) if in_parts else half.empty(xp, shape, dtype, rounded)
    for positions, first, block in blocks:
        cublas.multiply(dy[positions], matrix, out=block)
        patches.fold(block, first, dx, in_parts)
    return half.halved(dx) if rounded else dx


def weight_gradient(patches, x, dy):
    """Gradient of `convolve` with respect to its matrix: (taps * C, D)."""
    xp = array_module(x)
    x, dy = half.halved(x), half.halved(dy).reshape(-1, dy.shape[-1])
    shape, blocks = (patches.taps * patches.channels, dy.shape[-1]), list(patches.blocks(x.dtype))
    dw = xp.empty(shape, x.dtype) if blocks else xp.zeros(shape, x.dtype)
    for positions, first, block in blocks:
        patches.unfold(x, first, block)
        cublas.multiply(block.T, dy[positions], out=dw, add=first > 0)
    return dw


@kernels.conv2d.version("cupy")
def conv2d(x, w, stride, padding, rounded=False):
    kernel_size, _, channels, channels_out = w.shape
    matrix = half.contiguous(w).reshape(-1, channels_out)
    if is_pointwise(kernel_size, stride, padding):
        y = cublas.multiply(x.reshape(-1, channels), matrix, rounded=rounded)
        return y.reshape(*x.shape[:3], channels_out)
    rows, columns = (output_size(n, kernel_size, stride, padding) for n in x.shape[1:3])
    window = (kernel_size, kernel_size**2, stride, padding)
    return convolve(Patches(x.shape, rows, columns, *window), x, matrix, rounded)


@kernels.conv2d_input_gradient.version("cupy")
def conv2d_input_gradient(dy, w, stride, padding, height, width, rounded=False):
    kernel_size, _, channels, channels_out = w.shape
    matrix = half.contiguous(w).reshape(-1, channels_out)
    if is_pointwise(kernel_size, stride, padding):
        dx = cublas.multiply(dy.reshape(-1, channels_out), matrix.T, rounded=rounded)
        return dx.reshape(*dy.shape[:3], channels)
    if _turns(kernel_size, stride, padding, channels, channels_out):
        taps = half.contiguous(half.contiguous(w)[::-1, ::-1].swapaxes(2, 3))
        matrix = taps.reshape(-1, channels)
        return convolve(_turned(dy, height, width, kernel_size, padding), dy, matrix, rounded)
    shape, window = (len(dy), height, width, channels), (kernel_size**2, stride, padding)
    patches = Patches(shape, *dy.shape[1:3], kernel_size, *window)
    return input_gradient(patches, dy, matrix, rounded)


@kernels.conv2d_weight_gradient.version("cupy")
def conv2d_weight_gradient(x, dy, kernel_size, stride, padding):
    channels, channels_out = x.shape[-1], dy.shape[-1]
    if is_pointwise(kernel_size, stride, padding):
        dw = cublas.multiply(x.reshape(-1, channels).T, dy.reshape(-1, channels_out))
        return dw.reshape(1, 1, channels, channels_out)
    shape = (kernel_size, kernel_size, channels, channels_out)
    if _turns(kernel_size, stride, padding, channels, channels_out):
        patches = _turned(dy, *x.shape[1:3], kernel_size, padding)
        turned = weight_gradient(patches, dy, x).reshape(*shape[:2], channels_out, channels)
        return turned[::-1, ::-1].swapaxes(2, 3)
    patches = Patches(x.shape, *dy.shape[1:3], kernel_size, kernel_size**2, stride, padding)
    return weight_gradient(patches, x, dy).reshape(shape)


def _turns(kernel_size, stride, padding, channels, channels_out):
    """Whether gradients are taken from patches of dy, which then are no larger than those of x.

    The transpose of a convolution without strides is one with its taps turned round.
    """
    return stride == 1 and padding < kernel_size and channels_out <= channels


def _turned(dy, height, width, kernel_size, padding):
    """Patches of dy (N, H', W', D) for each pixel of x (N, height, width, C), taps turned round."""
    window = (kernel_size, kernel_size**2, 1, kernel_size - 1 - padding)
    return Patches(dy.shape, height, width, *window)
