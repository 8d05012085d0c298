"""Causal multi-head attention inside the prior (section A.2)."""

import numpy as np
from numpy.random import Generator
from numpy.typing import DTypeLike

import vqv2.functional as F
from backends import Array, array_module
from vqv2.autodiff import Tensor
from vqv2.errors import InputError
from vqv2.nn.layers import Linear
from vqv2.nn.module import Module
from vqv2.nn.residual import Gate


def positions(height: int, width: int, dtype: DTypeLike = np.float32) -> Array:
    """The two position channels ((i - H/2) / H, (j - W/2) / W): (H, W, 2)."""
    xp = array_module()
    rows = (xp.arange(height) - height / 2) / height
    columns = (xp.arange(width) - width / 2) / width
    return xp.stack(xp.meshgrid(rows, columns, indexing="ij"), axis=-1).astype(dtype)


class AttentionBlock(Module):
    """Every position reads from all positions strictly before it; a gated 1x1 block takes it in.

    Keys and values come from [embedded codes, features, position], queries from [features,
    position]. `heads` heads share hidden_units / 2 channels for keys and as many for values. A
    key may see its own code, since only later positions attend to it. The first position attends
    to nothing and reads exactly zero.

    Merging: [a, b] = conv1x1(ELU(conv1x1(ELU(x)) + conv1x1(ELU(read)))), then a `Gate`. Raises
    `InputError` for heads that cannot share the channels evenly.
    """

    def __init__(
        self,
        hidden_units: int,
        residual_units: int,
        heads: int,
        dropout: float,
        rng: Generator | None,
        dropout_on: str = "logits",
        condition_units: int = 0,
        classes: int = 0,
    ) -> None:
        width = hidden_units // 2
        if width % heads:
            raise InputError(f"{heads} attention heads do not divide {width} channels, half of x's")
        self.heads = heads
        self.dropout = dropout
        self.dropout_on = dropout_on
        self.queries = Linear(hidden_units + 2, width, rng)
        self.keys = Linear(2 * hidden_units + 2, width, rng)
        self.values = Linear(2 * hidden_units + 2, width, rng)
        self.first = Linear(hidden_units, residual_units, rng)
        self.read = Linear(width, residual_units, rng, bias=False)
        self.second = Linear(residual_units, 2 * hidden_units, rng)
        self.gate = Gate(hidden_units, dropout, rng, condition_units, classes)

    def forward(
        self,
        x: Tensor,
        embedded: Tensor,
        condition: Tensor | None = None,
        label: Array | None = None,
        rng: Generator | None = None,
    ) -> Tensor:
        """x and embedded codes, both (N, H, W, hidden_units) -> (N, H, W, hidden_units)."""
        n, height, width, _ = x.shape
        grid = positions(height, width, x.dtype)
        grid = array_module(grid).broadcast_to(grid, (n, *grid.shape))
        queries = self._heads(self.queries(F.concatenate(x, grid)))
        source = F.concatenate(embedded, x, grid)
        keys, values = self._heads(self.keys(source)), self._heads(self.values(source))
        read = F.causal_attention(
            queries,
            keys,
            values,
            rate=self.dropout,
            dropout_on=self.dropout_on,
            rng=rng,
            share=self.communicator.rank,
        )
        return self.merge(x, self._maps(read, height, width), condition, label, rng)

    def merge(
        self,
        x: Tensor,
        read: Tensor,
        condition: Tensor | None = None,
        label: Array | None = None,
        rng: Generator | None = None,
    ) -> Tensor:
        """Take what was read, (N, H, W, hidden_units / 2), into x (N, H, W, hidden_units)."""
        taken = self.first(F.elu(x)) + self.read(F.elu(read))
        features = self.second(F.elu(taken), biased=False)
        return self.gate(x, features, self.second.bias, condition, label, rng)

    def _heads(self, maps):
        """(N, H, W, heads * d) -> (N, heads, H * W, d)."""
        n, height, width, channels = maps.shape
        split = F.reshape(maps, shape=(n, height * width, self.heads, channels // self.heads))
        return F.transpose(split, axes=(0, 2, 1, 3))

    def _maps(self, read, height, width):
        """The inverse of `_heads`."""
        n, heads, _, channels = read.shape
        moved = F.transpose(read, axes=(0, 2, 1, 3))
        return F.reshape(moved, shape=(n, height, width, heads * channels))
