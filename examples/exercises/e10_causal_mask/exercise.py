"""The causal mask.

After lesson 8. In raster order, place (i, j) comes before (k, l) when i < k, or i = k and j < l. A
causal convolution uses those taps (a, b) of a k x k window, k odd, whose place (i + a, j + b) comes
before (i, j), and the centre (0, 0) too if it is open.
"""

import numpy as np  # noqa: F401  (you will need it)


def causal_taps(kernel_size, centre):
    """Task 1: the open taps as a list of (row offset, column offset), in raster order.

    Offsets go from -(k // 2) to k // 2. `centre` says whether (0, 0) is open.
    """
    raise NotImplementedError("task 1: causal_taps")


def causal_convolution(x, w, kernel_size, centre):
    """Task 2: y[n, i, j] = sum over taps t = (a, b) of x[n, i + a, j + b] w[t].

    x (N, H, W, C), w (number of taps, C, D) -> (N, H, W, D). What lies outside the map is zero.
    """
    raise NotImplementedError("task 2: causal_convolution")
