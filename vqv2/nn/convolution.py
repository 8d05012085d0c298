"""Convolutions over maps (N, H, W, C).

`biased=False` leaves the bias out, for an operation that adds it, `F.relu(y, layer.bias)`; in half
precision a device may then round the result.
"""

from numpy.random import Generator

import vqv2.functional as F
from backends.reference.causal_conv import tap_count
from vqv2.autodiff import Tensor
from vqv2.nn.initialization import weight, zeros
from vqv2.nn.module import Module


class Conv2d(Module):
    """Convolution with zero padding such that the output has H / stride rows (for even H).

    Table 3: 3x3 with stride 1, and 4x4 with stride 2.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        rng: Generator | None,
        stride: int = 1,
    ) -> None:
        shape = (kernel_size, kernel_size, channels_in, channels_out)
        self.weight = weight(rng, shape, kernel_size**2 * channels_in)
        self.bias = zeros(channels_out)
        self.stride = stride
        self.padding = (kernel_size - stride + 1) // 2

    def forward(self, x: Tensor, biased: bool = True) -> Tensor:
        """(N, H, W, channels_in) -> (N, H / stride, W / stride, channels_out)."""
        bias = self.bias if biased else None
        return F.conv2d(x, self.weight, bias, self.stride, self.padding, rounded=not biased)


class ConvTranspose2d(Module):
    """Transposed convolution to `stride` times the size, for even kernel_size - stride.

    The weights (kernel, kernel, channels_out, channels_in) are those of the convolution back.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        rng: Generator | None,
        stride: int,
    ) -> None:
        shape = (kernel_size, kernel_size, channels_out, channels_in)
        self.weight = weight(rng, shape, kernel_size**2 * channels_in / stride**2)
        self.bias = zeros(channels_out)
        self.stride = stride
        self.padding = (kernel_size - stride) // 2

    def forward(self, x: Tensor, biased: bool = True) -> Tensor:
        """(N, H, W, channels_in) -> (N, H * stride, W * stride, channels_out)."""
        bias = self.bias if biased else None
        return F.conv_transpose2d(
            x, self.weight, bias, self.stride, self.padding, rounded=not biased
        )


class CausalConv2d(Module):
    """Causal convolution in raster order, of the same size; only its open taps are stored.

    `centre` says whether a position sees itself: false for the first layer, whose input is the
    very code to be predicted, true for all that follow.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel_size: int,
        rng: Generator | None,
        centre: bool,
    ) -> None:
        taps = tap_count(kernel_size, centre)
        self.weight = weight(rng, (taps, channels_in, channels_out), taps * channels_in)
        self.bias = zeros(channels_out)
        self.kernel_size = kernel_size

    def forward(self, x: Tensor, biased: bool = True) -> Tensor:
        """(N, H, W, channels_in) -> (N, H, W, channels_out)."""
        bias = self.bias if biased else None
        return F.causal_conv2d(x, self.weight, bias, self.kernel_size, rounded=not biased)
