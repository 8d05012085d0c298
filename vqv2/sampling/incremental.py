"""One more position of a prior for the cost of one position (section F).

A position's features depend on earlier positions only, so nothing that was computed changes when a
code is added. Each layer keeps what later positions will read of it:

* A causal convolution keeps its input's last rows. Of 13 taps, 10 lie in the rows above, which are
  complete when a row starts: their share of the whole row is one matrix product, and reads those
  weights once per row. The taps of the current row are left for each position.
* An attention block keeps keys and values of all earlier positions.
* What the coarser levels say is computed once per sample, and projected for a row at a time.

The weights are read from the `Prior`; evaluation only, on arrays, without a tape.
"""

import math

import numpy as np

from backends import array_module, elementwise
from vqv2.autodiff import no_grad
from vqv2.nn import AttentionBlock, CausalConv2d
from vqv2.nn.attention import positions


class IncrementalPrior:
    """Next-code logits of N maps at once.

        stepper = IncrementalPrior(prior, count=4, label=labels, coarser=[top_codes])
        logits = stepper.logits()      # (N, K) for position (0, 0)
        stepper.append(codes)          # (N,), whatever was chosen there
        logits = stepper.logits()      # for position (0, 1), and so on in raster order

    `logits` may be called once per position; the last position may be left without `append`.
    Raises `InputError` as `Prior` does.
    """

    def __init__(self, prior, count, label=None, coarser=()):
        codes = np.zeros((count, prior.size, prior.size), np.int64)
        _, label = prior.check(codes, label)
        with no_grad():
            condition = prior.condition(coarser)
        self.prior = prior
        self.table = prior.embedding.table.array
        shape = (count, prior.size, self.table.dtype)
        condition = None if condition is None else condition.array
        self.first = _causal_convolution(prior.first, shape)
        self.blocks = [
            _Attention(block, shape, label, condition)
            if isinstance(block, AttentionBlock)
            else _GatedLayer(block, shape, label, condition)
            for block in prior.blocks
        ]
        self.output = [_GatedLayer(block, shape, label, condition) for block in prior.output.blocks]
        self.position = 0

    def logits(self):
        """Logits (N, K) of the next position in raster order."""
        row, column = divmod(self.position, self.prior.size)
        if column == 0:
            for layer in (self.first, *self.blocks, *self.output):
                layer.start_row(row)
        x = self.first.step(column)
        for layer in (*self.blocks, *self.output):
            x = layer.step(x, column)
        final = self.prior.output.logits
        return elementwise.elu(x) @ final.weight.array + final.bias.array

    def append(self, codes):
        """Fix the codes (N,) of the next position and go on to the one after."""
        column = self.position % self.prior.size
        embedded = self.table[codes]
        self.first.put(embedded, column)
        for block in self.blocks:
            block.put(embedded, column)
        self.position += 1

    def skip_to(self, row):
        """Go on at the start of a row, as if zeros had been remembered of all above: for timing."""
        self.position = row * self.prior.size


class _CausalConvolution:
    """A `CausalConv2d` with the rows of its input that later positions read.

    rows   (N, half + 1, W + 2 * half, C): the rows above and, last, the current one, zero-padded
    above  (N, W, D): bias and the share of the rows above in every position of the current row
    """

    def __init__(self, layer, shape):
        count, size, dtype = shape
        taps, channels, channels_out = layer.weight.shape
        half = layer.kernel_size // 2
        upper = half * layer.kernel_size
        weight = layer.weight.array
        self.half, self.size, self.kernel_size = half, size, layer.kernel_size
        self.upper_weight = weight[:upper].reshape(-1, channels_out)
        self.row_weight = weight[upper:].reshape(-1, channels_out)
        self.row_taps = taps - upper
        self.bias = layer.bias.array
        xp = array_module(weight)
        self.rows = xp.zeros((count, half + 1, size + 2 * half, channels), dtype)
        self.above = None

    def start_row(self, row):
        """Move down a row; multiply the taps that lie above it, for all its positions."""
        if row:
            self.rows[:, :-1] = self.rows[:, 1:].copy()
            self.rows[:, -1] = 0
        taps = [
            self.rows[:, a, b : b + self.size]
            for a in range(self.half)
            for b in range(self.kernel_size)
        ]
        patches = array_module(self.rows).concatenate(taps, axis=-1)
        self.above = patches @ self.upper_weight + self.bias

    def put(self, x, column):
        """Set the input (N, C) at a column of the current row."""
        self.rows[:, -1, column + self.half] = x

    def step(self, column):
        """The output (N, D) at a column of the current row."""
        patch = self.rows[:, -1, column : column + self.row_taps]
        return patch.reshape(len(patch), -1) @ self.row_weight + self.above[:, column]


class _Pointwise:
    """A 1x1 convolution, which has nothing to remember."""

    def __init__(self, layer):
        self.weight = layer.weight.array
        self.bias = layer.bias.array
        self.input = None

    def start_row(self, row):
        """Nothing lies above."""

    def put(self, x, column):
        """Set the input (N, C)."""
        self.input = x

    def step(self, column):
        """The output (N, D)."""
        return self.input @ self.weight + self.bias


def _causal_convolution(layer, shape):
    return (
        _CausalConvolution(layer, shape) if isinstance(layer, CausalConv2d) else _Pointwise(layer)
    )


class _Gate:
    """A `Gate` with the class bias and, for the current row, what the coarser levels say."""

    def __init__(self, gate, label, condition):
        self.label = 0 if gate.label is None else gate.label.table.array[label]
        self.condition = None if gate.condition is None else condition
        self.weight = None if gate.condition is None else gate.condition.weight.array
        self.projected = None

    def start_row(self, row):
        """Project the row's condition."""
        if self.condition is not None:
            self.projected = self.condition[:, row] @ self.weight

    def step(self, x, features, column):
        """x (N, hidden) and features (N, 2 * hidden) -> (N, hidden)."""
        features = features + self.label
        if self.projected is not None:
            features += self.projected[:, column]
        return x + elementwise.gate(features)


class _GatedLayer:
    """A `GatedResidual`: two convolutions, and the gate with condition and class bias."""

    def __init__(self, block, shape, label, condition):
        self.first = _causal_convolution(block.first, shape)
        self.second = _causal_convolution(block.second, shape)
        self.gate = _Gate(block.gate, label, condition)

    def start_row(self, row):
        """Start a row of both convolutions and of the gate."""
        self.first.start_row(row)
        self.second.start_row(row)
        self.gate.start_row(row)

    def put(self, embedded, column):
        """Codes reach this layer through `step` only."""

    def step(self, x, column):
        """(N, hidden) -> (N, hidden)."""
        self.first.put(elementwise.elu(x), column)
        self.second.put(elementwise.elu(self.first.step(column)), column)
        return self.gate.step(x, self.second.step(column), column)


class _Attention:
    """An `AttentionBlock` with the keys and values of all earlier positions."""

    def __init__(self, block, shape, label, condition):
        count, size, dtype = shape
        xp = array_module(block.keys.weight.array)
        self.block, self.size = block, size
        self.width = block.keys.weight.shape[-1] // block.heads
        self.positions = positions(size, size, dtype)
        self.keys = xp.zeros((count, block.heads, size * size, self.width), dtype)
        self.values = xp.zeros_like(self.keys)
        self.gate = _Gate(block.gate, label, condition)
        self.row = 0
        self.x = None

    def start_row(self, row):
        """Remember which row it is; start it in the gate."""
        self.row = row
        self.gate.start_row(row)

    def put(self, embedded, column):
        """Keys and values of a position, once its code is known."""
        xp, i = array_module(self.keys), self.row * self.size + column
        source = xp.concatenate([embedded, self.x, self._position(column)], axis=-1)
        self.keys[:, :, i] = self._heads(self.block.keys, source)
        self.values[:, :, i] = self._heads(self.block.values, source)

    def step(self, x, column):
        """(N, hidden) -> (N, hidden), reading from all earlier positions."""
        xp = array_module(x)
        self.x = x
        query = self._heads(
            self.block.queries, xp.concatenate([x, self._position(column)], axis=-1)
        )
        return self._merge(x, self._read(query, self.row * self.size + column), column)

    def _read(self, query, count):
        """(N, heads, width) -> (N, heads * width): attention over the first `count` positions."""
        if count == 0:
            return query.reshape(len(query), -1) * 0  # the first position reads exactly zero
        keys, values = self.keys[:, :, :count], self.values[:, :, :count]
        logits = (keys @ query[..., None])[..., 0] * query.dtype.type(1 / math.sqrt(self.width))
        weights = array_module(logits).exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights[:, :, None] @ values).reshape(len(query), -1)

    def _merge(self, x, read, column):
        block, elu = self.block, elementwise.elu
        features = elu(x) @ block.first.weight.array + block.first.bias.array
        features = elu(features + elu(read) @ block.read.weight.array)
        features = features @ block.second.weight.array + block.second.bias.array
        return self.gate.step(x, features, column)

    def _heads(self, layer, source):
        projected = source @ layer.weight.array + layer.bias.array
        return projected.reshape(len(source), self.block.heads, self.width)

    def _position(self, column):
        grid = self.positions[self.row, column]
        return array_module(grid).broadcast_to(grid, (len(self.keys), 2))
