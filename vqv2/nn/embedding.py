"""A learned vector for each code or class."""

from numpy.random import Generator

import vqv2.functional as F
from backends import Array
from vqv2.autodiff import Tensor
from vqv2.nn.initialization import weight
from vqv2.nn.module import Module


class Embedding(Module):
    """table[codes]: integers (...) -> (..., channels). `deviation` scales the first table."""

    def __init__(
        self, count: int, channels: int, rng: Generator | None, deviation: float = 1.0
    ) -> None:
        self.table = weight(rng, (count, channels), 1 / deviation**2)

    def forward(self, codes: Array) -> Tensor:
        """Integers (...) -> (..., channels)."""
        return F.embedding(codes, self.table)
