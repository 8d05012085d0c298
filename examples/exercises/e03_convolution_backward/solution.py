"""One answer to e03: a loop over taps."""

import numpy as np


def _slices(x, k):
    """((a, b), slice of x) for every tap of a k x k kernel; the slices are views."""
    rows, columns = x.shape[1] - k + 1, x.shape[2] - k + 1
    for a in range(k):
        for b in range(k):
            yield (a, b), x[:, a : a + rows, b : b + columns]


def convolution(x, w):
    """Add up the taps' matrix products."""
    return sum(view @ w[tap] for tap, view in _slices(x, len(w)))


def weight_gradient(x, dy):
    """For each tap, slice^T dy."""
    k = x.shape[1] - dy.shape[1] + 1
    dw = np.zeros((k, k, x.shape[-1], dy.shape[-1]), x.dtype)
    for tap, view in _slices(x, k):
        dw[tap] = view.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    return dw


def input_gradient(dy, w):
    """For each tap, dy w^T, added where the slice lay."""
    n, rows, columns, _ = dy.shape
    k, channels = len(w), w.shape[2]
    dx = np.zeros((n, rows + k - 1, columns + k - 1, channels), dy.dtype)
    for tap, view in _slices(dx, k):
        view += dy @ w[tap].T
    return dx
