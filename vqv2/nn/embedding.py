"""A learned vector for each code or class."""

import vqv2.functional as F
from vqv2.nn.initialization import weight
from vqv2.nn.module import Module


class Embedding(Module):
    """table[codes]: integers (...) -> (..., channels). `deviation` scales the first table."""

    def __init__(self, count, channels, rng, deviation=1.0):
        self.table = weight(rng, (count, channels), 1 / deviation**2)

    def forward(self, codes):
        """Integers (...) -> (..., channels)."""
        return F.embedding(codes, self.table)
