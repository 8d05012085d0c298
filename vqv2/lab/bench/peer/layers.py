"""Layers that both models of the peer share."""

from vqv2.lab.bench.peer.framework import torch

nn = torch.nn


def conv(channels_in, channels_out, kernel_size, stride=1):
    """`nn.Conv2d` to H / stride rows."""
    padding = (kernel_size - stride + 1) // 2
    return nn.Conv2d(channels_in, channels_out, kernel_size, stride, padding)


def conv_transpose(channels_in, channels_out, kernel_size, stride=2):
    """`nn.ConvTranspose2d` to H * stride rows."""
    padding = (kernel_size - stride) // 2
    return nn.ConvTranspose2d(channels_in, channels_out, kernel_size, stride, padding)


def pointwise(channels_in, channels_out, bias=True):
    """A 1x1 convolution."""
    return nn.Conv2d(channels_in, channels_out, 1, bias=bias)


class MaskedConv2d(nn.Conv2d):
    """A convolution whose weights for later positions are set to zero before every use."""

    def __init__(self, channels_in, channels_out, kernel_size, centre):
        super().__init__(channels_in, channels_out, kernel_size, padding=kernel_size // 2)
        mask = torch.zeros(kernel_size**2)
        mask[: kernel_size**2 // 2 + centre] = 1
        self.register_buffer("mask", mask.reshape(kernel_size, kernel_size))

    def forward(self, x):
        """(N, C, H, W) -> (N, D, H, W)."""
        self.weight.data.mul_(self.mask)
        return super().forward(x)
