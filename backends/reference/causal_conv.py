"""Causal convolution in raster order: a position sees rows above it, and what is left of it.

Of a k x k kernel only the taps before the centre are stored and multiplied, numbered in raster
order: (k // 2) rows of k taps above, k // 2 taps on the left, and the centre when `centre` is
true. For k = 5 that is 13 taps, or 12 without the centre, of 25 (section A.2 and Tables 1 and 2:
"Conv Filter size 5"). Maps are (N, H, W, C), weights (taps, C in, C out).
"""

from backends.arrays import array_module


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


def causal_conv2d(x, w, kernel_size, rounded=False):
    """y[n, i, j] = sum over stored taps (a, b) of x[n, i + a, j + b] w[tap], zero outside the map.

    (N, H, W, C), (taps, C, D) -> (N, H, W, D).
    """
    y = array_module(x).zeros((*x.shape[:3], w.shape[-1]), x.dtype)
    for tap, view in _shifted(x, kernel_size, len(w)):
        y += view @ w[tap]
    return y


def causal_conv2d_input_gradient(dy, w, kernel_size, rounded=False):
    """Gradient of `causal_conv2d` with respect to x: (N, H, W, D), (taps, C, D) -> (N, H, W, C)."""
    half = kernel_size // 2
    n, height, width, _ = dy.shape
    padded = array_module(dy).zeros((n, height + half, width + 2 * half, w.shape[1]), dy.dtype)
    for tap, (a, b) in enumerate(tap_offsets(kernel_size, len(w))):
        view = padded[:, half + a : half + a + height, half + b : half + b + width]
        view += dy @ w[tap].T
    return padded[:, half:, half : half + width]


def causal_conv2d_weight_gradient(x, dy, kernel_size, taps):
    """Gradient of `causal_conv2d` with respect to w: -> (taps, C, D)."""
    channels, channels_out = x.shape[-1], dy.shape[-1]
    dw = array_module(x).zeros((taps, channels, channels_out), x.dtype)
    for tap, view in _shifted(x, kernel_size, taps):
        dw[tap] = view.reshape(-1, channels).T @ dy.reshape(-1, channels_out)
    return dw
