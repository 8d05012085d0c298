"""Causal convolutions on the processor: directly from the map, or by Winograd's algorithm.

Float64, which only tests use, is left to the reference.
"""

import numpy as np

from backends import kernels
from backends.numba.engine import causal_winograd, direct_conv
from backends.reference import causal_conv as reference


@kernels.causal_conv2d.version("numba")
def causal_conv2d(x, w, kernel_size, rounded=False):
    if x.dtype != np.float32:
        return reference.causal_conv2d(x, w, kernel_size)
    if causal_winograd.pays(x.shape, w.shape[2], kernel_size):
        return causal_winograd.convolve(x, w)
    return _convolved(x, w, kernel_size, turned=False)


@kernels.causal_conv2d_input_gradient.version("numba")
def causal_conv2d_input_gradient(dy, w, kernel_size, rounded=False):
    if dy.dtype != np.float32:
        return reference.causal_conv2d_input_gradient(dy, w, kernel_size)
    if causal_winograd.pays(dy.shape, w.shape[1], kernel_size):
        return causal_winograd.input_gradient(dy, w)
    # What comes later in raster order comes earlier in a map turned by 180 degrees.
    return _convolved(dy, w.swapaxes(1, 2), kernel_size, turned=True)


def _convolved(x, w, kernel_size, turned):
    half, channels_out = kernel_size // 2, w.shape[-1]
    y = np.empty((*x.shape[:3], channels_out), x.dtype)
    surrounded = direct_conv.padded(x, half, 0, half, half, turned)
    places = [range(size)[:: -1 if turned else 1] for size in x.shape[1:3]]
    taps = w.reshape(-1, channels_out)
    direct_conv.convolve(surrounded, 0, 0, kernel_size, 1, taps, y, *places)
    return y


@kernels.causal_conv2d_weight_gradient.version("numba")
def causal_conv2d_weight_gradient(x, dy, kernel_size, taps):
    if x.dtype != np.float32:
        return reference.causal_conv2d_weight_gradient(x, dy, kernel_size, taps)
    if causal_winograd.pays(x.shape, dy.shape[-1], kernel_size):
        return causal_winograd.weight_gradient(x, dy, taps)
    half, channels = kernel_size // 2, x.shape[-1]
    surrounded = direct_conv.padded(x, half, 0, half, half)
    dw = direct_conv.weight_gradient(surrounded, kernel_size, 1, dy, taps * channels)
    return dw.reshape(taps, channels, dy.shape[-1])
