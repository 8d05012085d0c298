"""The residual stack of encoder and decoder (Table 3)."""

from numpy.random import Generator

import vqv2.functional as F
from vqv2.autodiff import Tensor
from vqv2.nn.convolution import Conv2d
from vqv2.nn.linear import Linear
from vqv2.nn.module import Module


class ResidualBlock(Module):
    """x + conv1x1(ReLU(conv3x3(ReLU(x)))), hidden -> residual -> hidden units."""

    def __init__(
        self, hidden_units: int, residual_units: int, filter_size: int, rng: Generator | None
    ) -> None:
        self.spatial = Conv2d(hidden_units, residual_units, filter_size, rng)
        self.pointwise = Linear(residual_units, hidden_units, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, hidden_units) -> the same shape."""
        hidden, x = F.relu(x, skip=True)
        hidden = F.relu(self.spatial(hidden, biased=False), self.spatial.bias)
        return F.add_biased(x, self.pointwise(hidden, biased=False), self.pointwise.bias)


class ResidualStack(Module):
    """`layers` residual blocks, then ReLU (Table 3: 2 layers, 128 hidden, 64 residual units)."""

    def __init__(
        self,
        hidden_units: int,
        residual_units: int,
        layers: int,
        filter_size: int,
        rng: Generator | None,
    ) -> None:
        self.blocks = [
            ResidualBlock(hidden_units, residual_units, filter_size, rng) for _ in range(layers)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, hidden_units) -> the same shape."""
        for block in self.blocks:
            x = block(x)
        return F.relu(x)
