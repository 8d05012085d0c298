"""One answer to e10."""

import numpy as np


def causal_taps(kernel_size, centre):
    """All offsets that are smaller than (0, 0) as pairs: that is raster order."""
    half = kernel_size // 2
    offsets = range(-half, half + 1)
    taps = [(a, b) for a in offsets for b in offsets]
    return [tap for tap in taps if tap < (0, 0) or (centre and tap == (0, 0))]


def causal_convolution(x, w, kernel_size, centre):
    """A slice and a product for every tap."""
    half = kernel_size // 2
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (half, 0), (half, half), (0, 0)))
    y = np.zeros((*x.shape[:3], w.shape[-1]))
    for (a, b), weight in zip(causal_taps(kernel_size, centre), w, strict=True):
        y += padded[:, half + a : half + a + height, half + b : half + b + width] @ weight
    return y
