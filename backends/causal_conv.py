"""Causal convolution in raster order: a position sees rows above it, and what is left of it.

Of a k x k kernel only the taps before the centre are stored and multiplied, numbered in raster
order: (k // 2) rows of k taps above, k // 2 taps on the left, and the centre when `centre` is
true. For k = 5 that is 13 taps, or 12 without the centre, of 25 (section A.2 and Tables 1 and 2:
"Conv Filter size 5"). Maps are (N, H, W, C), weights (taps, C in, C out).
"""

import numpy as np

from backends.compiled import compiled, prange
from backends.conv import patch_blocks
from backends.product import Columns, multiply
from backends.selection import kernel
from backends.transfer import array_module


def tap_count(kernel_size, centre):
    """Number of taps stored: 13 for (5, True), 12 for (5, False), 1 for (1, True)."""
    return kernel_size**2 // 2 + bool(centre)


def tap_offsets(kernel_size, taps):
    """The first `taps` offsets (row, column) of a k x k kernel in raster order."""
    half = kernel_size // 2
    return [(t // kernel_size - half, t % kernel_size - half) for t in range(taps)]


def _shifted(x, kernel_size, taps):
    """(tap, view of the padded map) per tap: the map that the tap meets at every position."""
    half = kernel_size // 2
    height, width = x.shape[1:3]
    padded = array_module(x).pad(x, ((0, 0), (half, 0), (half, half), (0, 0)))
    for tap, (a, b) in enumerate(tap_offsets(kernel_size, taps)):
        yield tap, padded[:, half + a : half + a + height, half + b : half + b + width]


@kernel
def causal_conv2d(x, w, kernel_size):
    """y[n, i, j] = sum over stored taps (a, b) of x[n, i + a, j + b] w[tap], zero outside the map.

    (N, H, W, C), (taps, C, D) -> (N, H, W, D).
    """
    y = array_module(x).zeros((*x.shape[:3], w.shape[-1]), x.dtype)
    for tap, view in _shifted(x, kernel_size, len(w)):
        y += view @ w[tap]
    return y


@kernel
def causal_conv2d_input_gradient(dy, w, kernel_size):
    """Gradient of `causal_conv2d` with respect to x: (N, H, W, D), (taps, C, D) -> (N, H, W, C)."""
    half = kernel_size // 2
    n, height, width, _ = dy.shape
    padded = array_module(dy).zeros((n, height + half, width + 2 * half, w.shape[1]), dy.dtype)
    for tap, (a, b) in enumerate(tap_offsets(kernel_size, len(w))):
        view = padded[:, half + a : half + a + height, half + b : half + b + width]
        view += dy @ w[tap].T
    return padded[:, half:, half : half + width]


@kernel
def causal_conv2d_weight_gradient(x, dy, kernel_size, taps):
    """Gradient of `causal_conv2d` with respect to w: -> (taps, C, D)."""
    channels, channels_out = x.shape[-1], dy.shape[-1]
    dw = array_module(x).zeros((taps, channels, channels_out), x.dtype)
    for tap, view in _shifted(x, kernel_size, taps):
        dw[tap] = view.reshape(-1, channels).T @ dy.reshape(-1, channels_out)
    return dw


@causal_conv2d.version("numba")
def _causal_conv2d_numba(x, w, kernel_size):
    taps, channels, channels_out = w.shape
    matrix = w.reshape(-1, channels_out)
    n, height, width, _ = x.shape
    map_lines = np.ascontiguousarray(x).reshape(n, height, width * channels)
    columns_of_w = Columns(matrix)
    y = np.empty((n * height, width, channels_out), x.dtype)
    for lines, patches in patch_blocks(n * height, (width, taps * channels), x.dtype):
        _unfold_loop(map_lines, channels, lines.start, kernel_size, patches)
        out = y[lines].reshape(-1, channels_out)
        multiply(patches.reshape(-1, len(matrix)), columns_of_w, out)
    return y.reshape(n, height, width, channels_out)


@causal_conv2d_input_gradient.version("numba")
def _causal_conv2d_input_gradient_numba(dy, w, kernel_size):
    taps, channels, channels_out = w.shape
    matrix = w.reshape(-1, channels_out)
    n, height, width, _ = dy.shape
    dy = dy.reshape(n * height, width, channels_out)
    columns_of_w = Columns(matrix.T)
    dx = np.zeros((n, height, width * channels), dy.dtype)
    for lines, patches in patch_blocks(n * height, (width, taps * channels), dy.dtype):
        out = patches.reshape(-1, len(matrix))
        multiply(dy[lines].reshape(-1, channels_out), columns_of_w, out)
        _fold_loop(patches, channels, lines.start, kernel_size, dx)
    return dx.reshape(n, height, width, channels)


@causal_conv2d_weight_gradient.version("numba")
def _causal_conv2d_weight_gradient_numba(x, dy, kernel_size, taps):
    n, height, width, channels = x.shape
    channels_out = dy.shape[-1]
    map_lines = np.ascontiguousarray(x).reshape(n, height, width * channels)
    dy = dy.reshape(n * height, width, channels_out)
    dw = np.zeros((taps * channels, channels_out), x.dtype)
    for lines, patches in patch_blocks(n * height, (width, taps * channels), x.dtype):
        _unfold_loop(map_lines, channels, lines.start, kernel_size, patches)
        columns_of_dy = Columns(dy[lines].reshape(-1, channels_out))
        multiply(patches.reshape(-1, len(dw)).T, columns_of_dy, dw, add=True)
    return dw.reshape(taps, channels, channels_out)


# In both loops the taps of one row, at most kernel * C numbers, lie side by side in the map, too.
# Of these, [low, high) lie inside the map. The patches are those of rows first, first + 1, ...
# when the rows of all maps are counted through. Slices, as in `conv`, because they vectorise.


@compiled
def _unfold_loop(x, channels, first, kernel_size, patches):
    lines, columns, length = patches.shape
    height, width = x.shape[1:]
    half = kernel_size // 2
    for line in prange(lines):
        image, i = (first + line) // height, (first + line) % height
        for j in range(columns):
            start = (j - half) * channels
            for a in range(half + 1):
                patch = patches[line, j, a * kernel_size * channels :]
                taps = min(kernel_size * channels, length - a * kernel_size * channels)
                low, high = max(0, -start), min(taps, width - start)
                row = i + a - half
                if row >= 0:
                    patch[:low] = 0
                    patch[low:high] = x[image, row, start + low : start + high]
                    patch[high:taps] = 0
                else:
                    patch[:taps] = 0


@compiled
def _fold_loop(patches, channels, first, kernel_size, x):
    """The transpose of `_unfold_loop`: every position adds up what it gave to the patches."""
    lines, columns, length = patches.shape
    height, width = x.shape[1:]
    half = kernel_size // 2
    map_first, map_last = first // height, (first + lines - 1) // height
    for target in prange((map_last - map_first + 1) * height):
        image, row = map_first + target // height, target % height
        for a in range(half + 1):
            i = row + half - a
            line = image * height + i - first
            if i < height and 0 <= line < lines:
                skipped = a * kernel_size * channels
                taps = min(kernel_size * channels, length - skipped)
                for j in range(columns):
                    start = (j - half) * channels
                    low, high = max(0, -start), min(taps, width - start)
                    patch = patches[line, j, skipped + low : skipped + high]
                    positions = x[image, row, start + low : start + high]
                    for t in range(len(patch)):
                        positions[t] += patch[t]
