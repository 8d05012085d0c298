"""The layer that is one matrix product."""

from typing import Any

from numpy.random import Generator

import vqv2.functional as F
from vqv2.autodiff import Tensor
from vqv2.nn.initialization import weight, zeros
from vqv2.nn.module import Module


class Linear(Module):
    """x W + b along the last axis: (..., channels_in) -> (..., channels_out).

    On maps (N, H, W, C) this is the tables' 1x1 convolution.
    """

    def __init__(
        self, channels_in: int, channels_out: int, rng: Generator | None, bias: bool = True
    ) -> None:
        self.weight = weight(rng, (channels_in, channels_out), channels_in)
        self.bias: Any = zeros(channels_out) if bias else None

    def forward(self, x: Tensor, biased: bool = True) -> Tensor:
        """(..., channels_in) -> (..., channels_out).

        With `biased=False` x W, for an operation that adds the bias, `F.elu(y, layer.bias)`, or has
        none to add: in half precision a device may then round the result.
        """
        bias = self.bias if biased else None
        return F.linear(x, self.weight, bias, rounded=not biased)
