"""First values of weights. Not stated in the paper; here the default of its software, Sonnet."""

import math

import numpy as np
from numpy.random import Generator

from backends import array_module, to_device
from vqv2.autodiff import Tensor


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
