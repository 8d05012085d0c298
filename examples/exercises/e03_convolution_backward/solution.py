"""One answer to e03: a loop over taps."""

import numpy as np


def _slices(x, w):
    """((a, b), slice of x) for every tap; the slices are views."""
    k = len(w)
    rows, columns = x.shape[1] - k + 1, x.shape[2] - k + 1
    for a in range(k):
        for b in range(k):
            yield (a, b), x[:, a : a + rows, b : b + columns]


def convolution(x, w):
    """Add up the taps' matrix products."""
    return sum(view @ w[tap] for tap, view in _slices(x, w))


def weight_gradient(x, w, dy):
    """For each tap, slice^T dy."""
    dw = np.zeros_like(w)
    for tap, view in _slices(x, w):
        dw[tap] = view.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    return dw


def input_gradient(x, w, dy):
    """For each tap, dy w^T, added where the slice lay."""
    dx = np.zeros_like(x)
    for tap, view in _slices(dx, w):
        view += dy @ w[tap].T
    return dx
