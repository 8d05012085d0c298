"""Residual layers: encoder's and decoder's (Table 3), and the gated ones of the prior (A.2)."""

from numpy.random import Generator

import vqv2.functional as F
from backends import Array
from vqv2.autodiff import Tensor
from vqv2.nn.layers import CausalConv2d, Conv2d, Embedding, Linear
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


class Gate(Module):
    """x + dropout(a sigmoid(b)), [a, b] = features + bias + projected condition + class bias.

    features: (N, H, W, 2 * hidden_units), from a product whose bias is added here. The condition
    (N, H, W, condition_units) goes through a 1x1 convolution without bias; the class bias is one
    learned vector per class, small at first. Both are optional: pass 0 units, 0 classes.
    """

    def __init__(
        self,
        hidden_units: int,
        dropout: float,
        rng: Generator | None,
        condition_units: int = 0,
        classes: int = 0,
    ) -> None:
        self.condition = None
        if condition_units:
            self.condition = Linear(condition_units, 2 * hidden_units, rng, bias=False)
        self.label = Embedding(classes, 2 * hidden_units, rng, 1e-3) if classes else None
        self.dropout = dropout

    def forward(
        self,
        x: Tensor,
        features: Tensor,
        bias: Tensor,
        condition: Tensor | None = None,
        label: Array | None = None,
        rng: Generator | None = None,
    ) -> Tensor:
        """x (N, H, W, hidden), labels (N,) integers -> (N, H, W, hidden)."""
        beside = (
            self.condition(condition, biased=False) if self.condition is not None else None,
            self.label(label) if self.label is not None else None,
        )
        share = self.communicator.rank
        return F.gate_block(x, features, bias, *beside, self.dropout, rng, share)


class GatedResidual(Module):
    """The gated convolutional layer of the prior.

    features = conv1x1(ELU(causal(ELU(x)))), hidden -> residual -> 2 hidden units, into a `Gate`.
    "hidden units" and "residual units" as in Table 3's residual blocks (the reading that gives
    about 423 M parameters for Table 1's top prior). With `second_kernel` > 1 the second
    convolution is causal, too. With `kernel_size` 1 it is the 1x1 block of the output stack.
    """

    def __init__(
        self,
        hidden_units: int,
        residual_units: int,
        kernel_size: int,
        dropout: float,
        rng: Generator | None,
        second_kernel: int = 1,
        condition_units: int = 0,
        classes: int = 0,
    ) -> None:
        self.first = _causal(hidden_units, residual_units, kernel_size, rng)
        self.second = _causal(residual_units, 2 * hidden_units, second_kernel, rng)
        self.gate = Gate(hidden_units, dropout, rng, condition_units, classes)

    def forward(
        self,
        x: Tensor,
        condition: Tensor | None = None,
        label: Array | None = None,
        rng: Generator | None = None,
    ) -> Tensor:
        """(N, H, W, hidden_units) -> the same shape."""
        hidden, x = F.elu(x, skip=True)
        hidden = F.elu(self.first(hidden, biased=False), self.first.bias)
        features = self.second(hidden, biased=False)
        return self.gate(x, features, self.second.bias, condition, label, rng)


def _causal(channels_in, channels_out, kernel_size, rng):
    if kernel_size == 1:
        return Linear(channels_in, channels_out, rng)
    return CausalConv2d(channels_in, channels_out, kernel_size, rng, centre=True)


class OutputStack(Module):
    """ "Deep residual networks consisting of 1x1 convolutions on top" (section A.2), ELU, 1x1 to K.

    Its gates have neither condition nor class bias by default: a class bias would add 20.5 M
    parameters to Table 1's top prior.
    """

    def __init__(
        self,
        hidden_units: int,
        residual_units: int,
        layers: int,
        dropout: float,
        codes: int,
        rng: Generator | None,
        condition_units: int = 0,
        classes: int = 0,
    ) -> None:
        self.blocks = [
            GatedResidual(
                hidden_units,
                residual_units,
                1,
                dropout,
                rng,
                condition_units=condition_units,
                classes=classes,
            )
            for _ in range(layers)
        ]
        self.logits = Linear(hidden_units, codes, rng)

    def forward(self, x: Tensor) -> Tensor:
        """What the last of `blocks` says, (N, H, W, hidden_units) -> logits (N, H, W, codes)."""
        return self.logits(F.elu(x))
