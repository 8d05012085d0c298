"""Causal convolutions on a device: conv.cu makes the patches, cuBLAS multiplies them.

The patches of a causal convolution are the first taps of an ordinary one's with half a kernel of
padding.
"""

from backends import kernels
from backends.cupy.conv import Patches, convolve, input_gradient, weight_gradient
from backends.cupy.engine import half


def _patches(shape, kernel_size, taps):
    return Patches(shape, *shape[1:3], kernel_size, taps, 1, kernel_size // 2)


@kernels.causal_conv2d.version("cupy")
def causal_conv2d(x, w, kernel_size, rounded=False):
    matrix = half.contiguous(w).reshape(-1, w.shape[-1])
    return convolve(_patches(x.shape, kernel_size, len(w)), x, matrix, rounded)


@kernels.causal_conv2d_input_gradient.version("cupy")
def causal_conv2d_input_gradient(dy, w, kernel_size, rounded=False):
    matrix = half.contiguous(w).reshape(-1, w.shape[-1])
    shape = (*dy.shape[:3], w.shape[1])
    return input_gradient(_patches(shape, kernel_size, len(w)), dy, matrix, rounded)


@kernels.causal_conv2d_weight_gradient.version("cupy")
def causal_conv2d_weight_gradient(x, dy, kernel_size, taps):
    dw = weight_gradient(_patches(x.shape, kernel_size, taps), x, dy)
    return dw.reshape(taps, x.shape[-1], dy.shape[-1])
