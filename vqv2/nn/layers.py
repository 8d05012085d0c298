"""Layers with weights: products, convolutions, embeddings and batch normalisation.

How weights begin is not stated in the paper; here it is the default of its software, Sonnet.

`biased=False` leaves a bias out, for an operation that adds it, `F.relu(y, layer.bias)`, or where
there is none to add; in half precision a device may then round the result. Maps are (N, H, W, C).
"""

import math
from typing import Any

import numpy as np
from numpy.random import Generator

import vqv2.functional as F
from backends import Array, array_module, kernels, to_device
from backends.reference.causal_conv import tap_count
from vqv2.autodiff import Tensor
from vqv2.nn.module import Module
from vqv2.recompute import is_recomputing


def weight(rng: Generator | None, shape: tuple[int, ...], fan_in: float) -> Tensor:
    """A parameter of independent normal numbers of deviation 1 / sqrt(fan_in), cut at 2 deviations.

    `fan_in` counts the inputs that one output sums over. Drawn on the host, so that a seed gives
    the same float32 weights on every backend. Without a generator (None) there are no numbers yet,
    and no memory for them: NaN everywhere, until `Module.load_state` brings some.
    """
    if rng is None:
        xp = array_module()
        return Tensor(xp.broadcast_to(xp.full((), np.nan, np.float32), shape), requires_grad=True)
    values = rng.standard_normal(shape, dtype=np.float32)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()), dtype=np.float32)
    return Tensor(to_device(values / np.float32(math.sqrt(fan_in))), requires_grad=True)


def zeros(*shape: int) -> Tensor:
    """A float32 parameter of zeros: biases."""
    return Tensor(to_device(np.zeros(shape, np.float32)), requires_grad=True)


def ones(*shape: int) -> Tensor:
    """A float32 parameter of ones: scales."""
    return Tensor(to_device(np.ones(shape, np.float32)), requires_grad=True)


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


class Embedding(Module):
    """table[codes]: integers (...) -> (..., channels). `deviation` scales the first table."""

    def __init__(
        self, count: int, channels: int, rng: Generator | None, deviation: float = 1.0
    ) -> None:
        self.table = weight(rng, (count, channels), 1 / deviation**2)

    def forward(self, codes: Array) -> Tensor:
        """Integers (...) -> (..., channels)."""
        return F.embedding(codes, self.table)


class BatchNorm(Module):
    """The conditioning stack's `BatchNorm` (section A.2).

    In training it normalises by the batch and keeps moving averages of mean and variance, from
    which it normalises in evaluation. Not stated in the paper: decay 0.99, epsilon 1e-5, and that
    the averages are debiased (divided by 1 - decay^steps), so that a short training works too.
    The batch is the whole one, also where several processes share it. With `relu` the layer is
    ReLU(BatchNorm(x)), with `skip` it returns that and x, to go around a residual layer.
    """

    def __init__(
        self,
        channels: int,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        relu: bool = False,
        skip: bool = False,
    ) -> None:
        self.scale = ones(channels)
        self.offset = zeros(channels)
        self.mean = to_device(np.zeros(channels, np.float32))
        self.variance = to_device(np.zeros(channels, np.float32))
        self.steps = np.zeros((), np.int64)  # on the host, which reads it
        self.decay = decay
        self.epsilon = epsilon
        self.relu = relu
        self.skip = skip

    def forward(self, x: Tensor, rng: Generator | None = None) -> Tensor | tuple[Tensor, ...]:
        """(..., channels) -> the same shape; trains when `rng` is given (nothing is drawn)."""
        if rng is None:
            return self._evaluate(x)
        y, mean, variance, *around = F.batch_norm(
            x,
            self.scale,
            self.offset,
            epsilon=self.epsilon,
            communicator=self.communicator,
            relu=self.relu,
            skip=self.skip,
        )
        if not is_recomputing():
            moments = (self.mean, self.variance, mean.array, variance.array)
            kernels.follow_moments(*moments, self.decay)
            self.steps += 1
        return (y, *around) if self.skip else y

    def _evaluate(self, x):
        debias = 1 - self.decay ** max(1, int(self.steps))
        variance = self.variance / debias if self.steps else self.variance + 1
        scale = self.scale * (1 / (variance + self.epsilon) ** 0.5)
        y = x * scale + (self.offset - scale * (self.mean / debias))  # two passes over x
        y = F.relu(y) if self.relu else y
        return (y, x) if self.skip else y
