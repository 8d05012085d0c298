"""The gradient of a convolution.

After lesson 3. Here: stride 1 and no padding, so an image of H rows and a kernel of k rows give
H - k + 1 rows,

    y[n, i, j, d] = sum over a, b, c of x[n, i + a, j + b, c] w[a, b, c, d].
"""

import numpy as np  # noqa: F401  (you will need it)


def convolution(x, w):
    """Task 1: y, from x (N, H, W, C) and w (k, k, C, D). The shape is (N, H-k+1, W-k+1, D)."""
    raise NotImplementedError("task 1: convolution")


def weight_gradient(x, dy):
    """Task 2: dL/dw (k, k, C, D) from x and the cotangent dy of y, (N, H-k+1, W-k+1, D).

    y is linear in w, so w itself is not needed; k follows from the shapes.
    """
    raise NotImplementedError("task 2: weight_gradient")


def input_gradient(dy, w):
    """Task 3: dL/dx (N, H, W, C) from the cotangent dy of y, (N, H-k+1, W-k+1, D), and w."""
    raise NotImplementedError("task 3: input_gradient")
