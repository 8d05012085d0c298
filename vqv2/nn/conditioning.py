"""The residual conditioning stack of the finer priors: the pseudo-code of section A.2."""

from numpy.random import Generator

import vqv2.functional as F
from vqv2.autodiff import Tensor
from vqv2.nn.layers import BatchNorm, Conv2d, ConvTranspose2d, Linear
from vqv2.nn.module import Module


class ConditioningBlock(Module):
    """The pseudo-code's `resnet_block` (lines 1-9), and the addition around it.

    x + conv1x1(ReLU(conv3x3(ReLU(conv1x1(ReLU(BatchNorm(x))))))), channels -> inner -> channels.
    """

    def __init__(self, channels: int, inner_channels: int, rng: Generator | None) -> None:
        self.normalization = BatchNorm(channels, relu=True, skip=True)
        self.first = Linear(channels, inner_channels, rng)
        self.spatial = Conv2d(inner_channels, inner_channels, 3, rng)
        self.last = Linear(inner_channels, channels, rng)

    def forward(self, x: Tensor, rng: Generator | None = None) -> Tensor:
        """(N, H, W, channels) -> the same shape."""
        h, x = self.normalization(x, rng)
        h = F.relu(self.first(h, biased=False), self.first.bias)
        h = F.relu(self.spatial(h, biased=False), self.spatial.bias)
        return F.add_biased(x, self.last(h, biased=False), self.last.bias)


class ConditioningStack(Module):
    """The pseudo-code's `conditioning_stack` (lines 11-28): a U of three resolutions.

    With `blocks` = 20: 10 at full size, 10 at half, 20 at a quarter, 10 at half, 10 at full size.
    The paper's channels are 1024 and 2048 with 256 and 512 inside its blocks; here they are
    `channels`, twice that, and a quarter of each, so that the same class serves small models.
    """

    def __init__(self, channels_in: int, channels: int, blocks: int, rng: Generator | None) -> None:
        double, inner = 2 * channels, channels // 4
        self.enter = Linear(channels_in, channels, rng)
        self.down_full = _blocks(channels, inner, blocks // 2, rng)
        self.to_half = Conv2d(channels, double, 1, rng, stride=2)
        self.down_half = _blocks(double, 2 * inner, blocks // 2, rng)
        self.to_quarter = Conv2d(double, double, 1, rng, stride=2)
        self.quarter = _blocks(double, 2 * inner, blocks, rng)
        self.from_quarter = ConvTranspose2d(double, double, 2, rng, stride=2)
        self.up_half = _blocks(double, 2 * inner, blocks // 2, rng)
        self.from_half = ConvTranspose2d(double, channels, 2, rng, stride=2)
        self.up_full = _blocks(channels, inner, blocks // 2, rng)

    def forward(self, x: Tensor, rng: Generator | None = None) -> Tensor:
        """(N, H, W, channels_in) -> (N, H, W, channels), for H and W divisible by 4."""
        full = self._run(self.down_full, self.enter(x), rng)
        half = self._run(self.down_half, self.to_half(full), rng)
        quarter = self._run(self.quarter, self.to_quarter(half), rng)
        half = self._run(self.up_half, half + self.from_quarter(quarter), rng)
        return self._run(self.up_full, full + self.from_half(half), rng)

    @property
    def blocks(self) -> list[Module]:
        """All residual blocks, in order."""
        return [
            *self.down_full,
            *self.down_half,
            *self.quarter,
            *self.up_half,
            *self.up_full,
        ]

    def _run(self, blocks, x, rng):
        for block in blocks:
            x = block(x, rng=rng)
        return x


def _blocks(channels, inner_channels, count, rng):
    return [ConditioningBlock(channels, inner_channels, rng) for _ in range(count)]
