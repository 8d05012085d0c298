"""Batch normalisation with running statistics."""

import numpy as np
from numpy.random import Generator

import vqv2.functional as F
from backends import kernels, to_device
from vqv2.autodiff import Tensor
from vqv2.nn.initialization import ones, zeros
from vqv2.nn.module import Module
from vqv2.recompute import is_recomputing


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
