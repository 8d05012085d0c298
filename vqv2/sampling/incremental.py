"""One more position of a prior for the cost of one position (section F).

A position's features depend on earlier positions only, so nothing that was computed changes when a
code is added. Each layer keeps what later positions will read of it:

* A causal convolution keeps its input's last rows. Of 13 taps, 10 lie in the rows above, which are
  complete when a row starts: their share of the whole row is one matrix product, and reads those
  weights once per row (`backends.reference.rows_above`). The taps of the current row are left for
  each position.
* An attention block keeps keys and values of all earlier positions.
* What the coarser levels say is computed once per sample, and projected for a row at a time.

The weights are the `Prior`'s; what every position reads of them is laid out anew for that, see
`backends.reference.sampling_step`. Evaluation only, on arrays, without a tape.
"""

import numpy as np

from backends import array_module, kernels
from backends.kernels import affine, affine_gate, attend, prepare_weights
from backends.reference.packing import STORAGES
from vqv2.autodiff import no_grad
from vqv2.errors import InputError
from vqv2.nn import AttentionBlock, CausalConv2d
from vqv2.nn.attention import positions


class IncrementalPrior:
    """Next-code logits of N maps at once.

        stepper = IncrementalPrior(prior, count=4, label=labels, coarser=[top_codes])
        logits = stepper.logits()      # (N, K) for position (0, 0)
        stepper.append(codes)          # (N,), whatever was chosen there
        logits = stepper.logits()      # for position (0, 1), and so on in raster order

    `logits` may be called once per position; the last position may be left without `append`.
    With `storage="bfloat16"` the weights that every position reads are rounded to bfloat16, which
    halves the time of small batches. Raises `InputError` as `Prior` does.
    """

    def __init__(self, prior, count, label=None, coarser=(), storage="float32"):
        if storage not in STORAGES:
            raise InputError(f"storage {storage!r} must be one of {', '.join(STORAGES)}")
        codes = np.zeros((count, prior.size, prior.size), np.int64)
        _, label = prior.check(codes, label, coarser)
        condition = _condition(prior, count, coarser)
        self.prior = prior
        self.count = count
        self.table = prior.embedding.table.array
        maps = _Maps(count, prior.size, self.table.dtype, storage)
        self.first = CausalConvolution(prior.first, maps)
        self.blocks = [
            Attention(block, maps, label, condition)
            if isinstance(block, AttentionBlock)
            else _GatedLayer(block, maps, label, condition)
            for block in prior.blocks
        ]
        self.output = [_GatedLayer(block, maps, label, condition) for block in prior.output.blocks]
        self.final = _Pointwise(prior.output.logits, maps)
        self.nothing = array_module(self.table).empty((count, 0, self.table.shape[1]), maps.dtype)
        self.position = 0
        self.asked = 0  # positions whose logits were computed since the last `append`

    @property
    def layers(self):
        """All layers in order; each is told when a row starts."""
        return (self.first, *self.blocks, *self.output, self.final)

    def logits(self):
        """Logits (N, K) of the next position in raster order."""
        return self._logits(self.nothing)[:, 0]

    def window_logits(self, forecast):
        """Logits (N, n + 1, K) of the next n + 1 positions, all in one row.

        Those after the first are right where the `forecast` (N, n) of the codes before them is.
        One pass: weights are read once for all n + 1 positions. In float32 on the CPU every number
        is, bit for bit, what `logits` would give.
        """
        return self._logits(self.table[forecast])

    def _logits(self, embedded):
        """Logits of the next position and of as many more as have `embedded` codes (N, n, C)."""
        if self.position == self.prior.size**2:
            raise InputError("all positions of the map have their codes: begin another map")
        self.asked = 1 + embedded.shape[1]
        row, column = divmod(self.position, self.prior.size)
        columns = slice(column, column + self.asked)
        if column == 0:
            for layer in self.layers:
                layer.start_row(row)
        if embedded.size:
            self.first.put(embedded, column)
        x = self.first.step(columns)
        activation = kernels.elu(x)
        for layer in (*self.blocks, *self.output):
            x, activation = layer.step(x, activation, columns, embedded)
        self.final.put(activation, column)
        return self.final.step(columns).reshape(self.count, -1, self.prior.codebook_size)

    def append(self, codes):
        """Fix the codes of the next position (N,), or of the next ones (N, n), and go on.

        Several at once must be among those of the last window, and all but the last as forecast.
        Raises `InputError` before `logits` of these positions were asked for, and for codes that
        do not fit.
        """
        codes = array_module(self.table).asarray(codes)
        self._check_appended(codes)
        column = self.position % self.prior.size
        embedded = self.table[codes.reshape(self.count, -1)]
        self.first.put(embedded, column)
        for block in self.blocks:
            block.put(embedded, column)
        self.position += embedded.shape[1]
        self.asked = 0

    def _check_appended(self, codes):
        """Raise `InputError` for codes that `append` cannot take."""
        if not self.asked:
            raise InputError("logits come before append: every position needs both, in this order")
        if codes.size not in range(self.count, self.count * self.asked + 1, self.count):
            raise InputError(
                f"codes to append have shape {codes.shape}, expected one for each of {self.count} "
                f"maps, or up to {self.asked} in a row"
            )
        table = len(self.table)
        if array_module(codes) is np and not 0 <= codes.min() <= codes.max() < table:
            raise InputError(
                f"codes to append go from {codes.min()} to {codes.max()}, but there are only those "
                f"from 0 to {table - 1}"
            )

    def skip_to(self, row):
        """Go on at the start of `row` as if all the rows before had left nothing behind.

        For measuring how long a stretch of a map takes without computing what is before it.
        """
        self.position = row * self.prior.size


def _condition(prior, count, coarser):
    """What the coarser levels say, (N, H, W, C) or None.

    On the host one image at a time: the maps of one may fit a cache, and those of the whole stack
    need not be held for all. A device prefers fewer and larger kernels.
    """
    step = 1 if array_module() is np else count
    with no_grad():
        parts = [
            prior.condition([codes[i : i + step] for codes in coarser])
            for i in range(0, count, step)
        ]
    if not parts or parts[0] is None:
        return None
    return array_module(parts[0].array).concatenate([part.array for part in parts])


class _Maps:
    """What all layers have to know: number and size of the maps, dtype, storage of the weights."""

    def __init__(self, count, size, dtype, storage):
        self.count, self.size, self.dtype, self.storage = count, size, dtype, storage

    def prepare(self, weight, halves=1):
        """Weights (K, D) laid out for the kernels of a step."""
        return prepare_weights(weight, self.storage, halves)


class CausalConvolution:
    """A `CausalConv2d` with the rows of its input that later positions read.

    rows     (N, half + 1, W + 2 * half, C): the rows above and, last, the current one, zero-padded
    offsets  (N, W, D), `offsets_shape`: bias and the share of the rows above in every position of
             the current row
    """

    def __init__(self, layer, maps, halves=1):
        taps, channels, channels_out = layer.weight.shape
        half = layer.kernel_size // 2
        upper = half * layer.kernel_size
        weight = layer.weight.array
        self.half = half
        self.above = kernels.prepare_rows_above(weight[:upper], maps.storage, maps.size)
        self.weight = maps.prepare(weight[upper:].reshape(-1, channels_out), halves)
        self.row_taps = taps - upper
        self.bias = layer.bias.array
        xp = array_module(weight)
        self.rows = xp.zeros((maps.count, half + 1, maps.size + 2 * half, channels), maps.dtype)
        self.offsets_shape = (maps.count, maps.size, channels_out)
        self.offsets = None

    def start_row(self, row, more=0):
        """Move down a row; multiply the taps that lie above it, for all its positions.

        `more` (N, W, D) is added to all outputs of the row.
        """
        if row:
            self.rows[:, :-1] = self.rows[:, 1:].copy()
            self.rows[:, -1] = 0
        offset = array_module(self.rows).broadcast_to(self.bias + more, self.offsets_shape)
        self.offsets = kernels.add_rows_above(self.rows[:, :-1], self.above, offset)

    def put(self, x, column):
        """Set the inputs (N * n, C) at n columns of the current row from `column` on."""
        x = x.reshape(len(self.rows), -1, x.shape[-1])
        start = column + self.half
        self.rows[:, -1, start : start + x.shape[1]] = x

    def patch(self, columns):
        """The inputs (N * n, taps * C) that the taps of the current row meet at n columns."""
        rows, n = self.rows[:, -1], columns.stop - columns.start
        if n == 1:  # the taps lie side by side in memory
            return rows[:, columns.start : columns.start + self.row_taps].reshape(len(rows), -1)
        starts = range(columns.start, columns.start + self.row_taps)
        taps = [rows[:, start : start + n] for start in starts]
        return array_module(rows).concatenate(taps, axis=-1).reshape(len(rows) * n, -1)

    def step(self, columns, activated=False):
        """The outputs (N * n, D) at n columns of the current row, or ELU of them."""
        return affine(self.patch(columns), self.weight, self.offset(columns), activated)

    def offset(self, columns):
        """What is added at n columns, (N * n, D)."""
        return self.offsets[:, columns].reshape(-1, self.offsets.shape[-1])


class _Pointwise:
    """A 1x1 convolution, which has nothing to remember; the same interface."""

    def __init__(self, layer, maps, halves=1):
        self.weight = maps.prepare(layer.weight.array, halves)
        self.offsets_shape = shape = (maps.count, maps.size, layer.bias.shape[0])
        self.bias = array_module(layer.bias.array).broadcast_to(layer.bias.array, shape)
        self.offsets = self.bias
        self.input = None

    def start_row(self, row, more=None):
        """Add `more` (N, W, D) to all outputs of the row."""
        self.offsets = self.bias if more is None else self.bias + more

    def put(self, x, column):
        """Set the inputs (N * n, C)."""
        self.input = x

    def patch(self, columns):
        """The inputs (N * n, C)."""
        return self.input

    def step(self, columns, activated=False):
        """The outputs (N * n, D), or ELU of them."""
        return affine(self.input, self.weight, self.offset(columns), activated)

    def offset(self, columns):
        """What is added at n columns, (N * n, D)."""
        return self.offsets[:, columns].reshape(-1, self.offsets.shape[-1])


def _convolution(layer, maps, halves=1):
    kind = CausalConvolution if isinstance(layer, CausalConv2d) else _Pointwise
    return kind(layer, maps, halves)


class _Gate:
    """What a `Gate` adds to its features: the class bias, and what the coarser levels say."""

    def __init__(self, gate, maps, label, condition):
        self.label = 0 if gate.label is None else gate.label.table.array[label][:, None]
        self.condition = None if gate.condition is None else condition
        if self.condition is not None:
            weight = gate.condition.weight.array
            self.weight = maps.prepare(weight)
            shape = (maps.count * maps.size, weight.shape[-1])
            self.none = array_module(weight).zeros(shape, maps.dtype)

    def offsets(self, row):
        """Class bias and projected condition of a row, (N, W, 2 * hidden) or broadcasting to it."""
        if self.condition is None:
            return self.label
        n, size = self.condition.shape[:2]
        rows = self.condition[:, row].reshape(n * size, -1)
        return affine(rows, self.weight, self.none, False).reshape(n, size, -1) + self.label


class _GatedLayer:
    """A `GatedResidual`: two convolutions, and the gate with condition and class bias."""

    def __init__(self, block, maps, label, condition):
        self.first = _convolution(block.first, maps)
        self.second = _convolution(block.second, maps, halves=2)
        self.gate = _Gate(block.gate, maps, label, condition)

    def start_row(self, row):
        """Start a row of both convolutions and of the gate."""
        self.first.start_row(row)
        self.second.start_row(row, self.gate.offsets(row))

    def put(self, embedded, column):
        """Codes reach this layer through `step` only."""

    def step(self, x, activation, columns, embedded):
        """x and ELU(x), (N * n, hidden), at n columns -> both of this layer's output."""
        self.first.put(activation, columns.start)
        self.second.put(self.first.step(columns, activated=True), columns.start)
        second = self.second
        return affine_gate(second.patch(columns), second.weight, second.offset(columns), x)


class Attention:
    """An `AttentionBlock` with the keys and values of all earlier positions.

    The two position channels' share in queries, keys and values is known beforehand.
    """

    def __init__(self, block, maps, label, condition):
        xp = array_module(block.keys.weight.array)
        self.heads, self.size = block.heads, maps.size
        self.width = block.keys.weight.shape[-1] // block.heads
        grid = positions(maps.size, maps.size, maps.dtype).reshape(-1, 2)
        both = _joined(block.keys, block.values)
        self.queries = _Projection(block.queries.weight.array, block.queries.bias.array, grid, maps)
        self.keys_and_values = _Projection(*both, grid, maps)
        self.keys = xp.zeros((maps.count, block.heads, maps.size**2, self.width), maps.dtype)
        self.values = xp.zeros_like(self.keys)
        merged = [block.first.weight.array, block.read.weight.array]
        self.merge_weight = maps.prepare(xp.concatenate(merged))
        bias = block.first.bias.array
        self.merge_bias = xp.ascontiguousarray(
            xp.broadcast_to(bias, (maps.count * maps.size, len(bias)))
        )
        self.second = _Pointwise(block.second, maps, halves=2)
        self.gate = _Gate(block.gate, maps, label, condition)
        self.row = 0
        self.x = None

    def start_row(self, row):
        """Remember which row it is; start it in the gate."""
        self.row = row
        self.second.start_row(row, self.gate.offsets(row))

    def put(self, embedded, column):
        """Keys and values of the last window's first positions, once their codes are known."""
        count, n, _ = embedded.shape
        places = self._places(column, n)
        source = array_module(embedded).concatenate([embedded, self.x[:, :n]], axis=-1)
        both = self.keys_and_values(source.reshape(count * n, -1), places)
        both = both.reshape(count, n, 2, self.heads, self.width).swapaxes(1, 3)
        self.keys[:, :, places], self.values[:, :, places] = both[:, :, 0], both[:, :, 1]

    def step(self, x, activation, columns, embedded):
        """x and ELU(x), (N * n, hidden), at n columns -> both of this block's output.

        embedded   codes forecast for all of the columns but the last, (N, n - 1, hidden)
        """
        xp, count = array_module(x), len(self.keys)
        self.x = x.reshape(count, -1, x.shape[-1])
        if embedded.size:
            self.put(embedded, columns.start)
        places = self._places(columns.start, self.x.shape[1])
        queries = self.queries(x, places).reshape(count, -1, self.heads, self.width)
        reads = [
            attend(queries[:, k], self.keys, self.values, place)
            for k, place in enumerate(range(places.start, places.stop))
        ]
        read = kernels.elu(xp.stack(reads, axis=1).reshape(len(x), -1))
        joined = xp.concatenate([activation, read], axis=-1)
        features = affine(joined, self.merge_weight, self.merge_bias[: len(x)], True)
        return affine_gate(features, self.second.weight, self.second.offset(columns), x)

    def _places(self, column, n):
        """Numbers in raster order of n positions from a column of the current row on."""
        start = self.row * self.size + column
        return slice(start, start + n)


class _Projection:
    """A `Linear` whose last two inputs are a position: their share is added, not multiplied."""

    def __init__(self, weight, bias, grid, maps):
        self.weight = maps.prepare(weight[:-2])
        self.offsets = grid @ weight[-2:] + bias
        self.count = maps.count

    def __call__(self, x, places):
        """(N * n, C) at the positions of a slice -> (N * n, D)."""
        offset = self.offsets[places]
        offset = array_module(offset).broadcast_to(offset, (self.count, *offset.shape))
        return affine(x, self.weight, offset.reshape(len(x), -1), False)


def _joined(*layers):
    """(weights, biases) of several `Linear` layers of the same inputs, side by side."""
    xp = array_module(layers[0].weight.array)
    weights = xp.concatenate([layer.weight.array for layer in layers], axis=-1)
    return weights, xp.concatenate([layer.bias.array for layer in layers])
