"""One more position of a prior for the cost of one position (section F).

A position's features depend on earlier positions only, so nothing that was computed changes when a
code is added. `IncrementalPrior` says what is computed of a position, and what each layer keeps:

* A causal convolution keeps its input's last rows. Of 13 taps, 10 lie in the rows above, which are
  complete when a row starts: their share of the whole row is one matrix product, and reads those
  weights once per row (`backends.reference.rows_above`). The taps of the current row are left for
  each position.
* An attention block keeps keys and values of all earlier positions.
* What the coarser levels say is computed once per sample, and projected for a row at a time.

All arrays are made once, and the position is read from memory, so that a device can record the work
of a position (`drawing.py`). The kernels are those of `backends.reference.sampling_step`; weights
are the `Prior`'s, laid out anew for them. Evaluation only, on arrays, without a tape.
"""

import itertools

import numpy as np

from backends import array_module, kernels, to_device
from backends.reference.packing import STORAGES
from vqv2.autodiff import no_grad
from vqv2.errors import InputError
from vqv2.nn import AttentionBlock
from vqv2.nn.attention import positions


class IncrementalPrior:
    """Next-code logits of N maps at once.

        stepper = IncrementalPrior(prior, count=4, label=labels, coarser=[top_codes])
        logits = stepper.logits()      # (N, K) for position (0, 0)
        stepper.append(codes)          # (N,), whatever was chosen there
        logits = stepper.logits()      # for position (0, 1), and so on in raster order

    Every position needs both; the last one may be left without `append`.
    With `storage="bfloat16"` the weights that every position reads are rounded to bfloat16, which
    halves the time of small batches. Raises `InputError` as `Prior` does.

    position, where    number of the next position, here and in memory
    codes (N, L)       chosen so far, in raster order; -1 where none is
    predicted (N, K)   the latest logits
    """

    def __init__(self, prior, count, label=None, coarser=(), storage="float32"):
        if storage not in STORAGES:
            raise InputError(f"storage {storage!r} must be one of {', '.join(STORAGES)}")
        codes = np.zeros((count, prior.size, prior.size), np.int64)
        _, label = prior.check(codes, label, coarser)
        maps = _Maps(prior, count, label, _condition(prior, count, coarser), storage)
        self.size = prior.size
        self.position, self.where = 0, maps.where
        self.asked = False  # whether `predicted` is of the next position
        self.codes, self.table = maps.codes, maps.table
        self.features = maps.zeros(count, self.table.shape[1])
        self.predicted = maps.zeros(count, prior.codebook_size)
        self.first = _convolution(prior.first, maps)
        self.layers = [_layer(block, maps) for block in (*prior.blocks, *prior.output.blocks)]
        self.attention = [layer for layer in self.layers if isinstance(layer, _Attention)]
        self.final = _convolution(prior.output.logits, maps)

    def logits(self):
        """Logits (N, K) of the next position in raster order.

        Raises `InputError` when all positions have their codes.
        """
        if self.position == self.size**2:
            raise InputError("all positions of the map have their codes: begin another map")
        if not self.asked:
            if self.position % self.size == 0:
                self.start_row()
            self.predict()
            self.asked = True
        return self.predicted.copy()

    def append(self, codes):
        """Fix the codes (N,) of the next position, and go on.

        Raises `InputError` before its `logits` were asked for, and for codes that do not fit.
        """
        codes = to_device(codes)
        self._check_appended(codes)
        self.codes[:, self.position] = codes
        self.remember()
        self.position += 1
        self.asked = False

    def _check_appended(self, codes):
        if not self.asked:
            raise InputError("logits come before append: every position needs both, in this order")
        count, known = len(self.codes), len(self.table)
        if codes.shape != (count,):
            raise InputError(
                f"codes to append have shape {codes.shape}, expected one for each of {count} maps"
            )
        if array_module(codes) is np and not 0 <= codes.min() <= codes.max() < known:
            raise InputError(
                f"codes to append go from {codes.min()} to {codes.max()}, but there are only those "
                f"from 0 to {known - 1}"
            )

    def start_row(self):
        """Multiply what lies above the next row, for all of its positions."""
        row = self.position // self.size
        for part in (self.first, *self.layers):
            part.start_row(row)

    def predict(self):
        """Go through the layers: every one changes the features and says ELU of them to the next.

        From the codes' vectors, which `remember` has put there, to the logits.
        """
        parts = (self.first, *self.layers, self.final)
        for part, following in itertools.pairwise(parts):
            part.step(self.features, following.input)
        self.final.step(self.predicted)

    def remember(self):
        """Keep what later positions read of the position, whose codes are there; go to the next."""
        kernels.embed_at(self.where, self.size, self.codes, self.table, self.first.input)
        for block in self.attention:
            block.remember()
        kernels.advance(self.where)

    def skip_to(self, row):
        """Go on at the start of `row` as if all the rows before had left nothing behind.

        For measuring how long a stretch of a map takes without computing what is before it.
        """
        self.position = row * self.size
        self.where[...] = self.position


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
    """What all layers share: the position, the codes so far, label, condition, dtype, storage."""

    def __init__(self, prior, count, label, condition, storage):
        self.table = prior.embedding.table.array
        self.xp, self.dtype = array_module(self.table), self.table.dtype
        self.count, self.size, self.storage = count, prior.size, storage
        self.label, self.condition = label, condition
        self.where = self.xp.zeros(1, np.int64)
        self.codes = -self.xp.ones((count, prior.size**2), np.int64)

    def zeros(self, *shape):
        """An array that keeps its place."""
        return self.xp.zeros(shape, self.dtype)

    def prepare(self, weight, halves=1):
        """Weights (K, D) laid out for the kernels of a step."""
        return kernels.prepare_weights(weight, self.storage, halves)

    def prepare_row(self, weight):
        """Weights (taps, K, D) laid out for what is multiplied once per row."""
        return kernels.prepare_rows_above(weight, self.storage, self.size)


class _Convolution:
    """A causal or 1x1 convolution at one position; `gate` is the `Gate` that follows, if one does.

    input    (N, W + 2 half, C): the current row of its input, between zeros; (N, 1, C) of a 1x1
    above    (N, half, W + 2 half, C): the rows above it
    weight   of the taps in the current row
    offset   what is added to their products: the bias, a gate's class bias and projected condition,
             and the share of the rows above
    """

    def __init__(self, weight, bias, maps, kernel_size=1, gate=None):
        half = kernel_size // 2
        above, (_, channels, columns) = half * kernel_size, weight.shape
        self.maps = maps
        self.input = maps.zeros(maps.count, maps.size + 2 * half if half else 1, channels)
        self.weight = maps.prepare(weight[above:].reshape(-1, columns), 2 if gate else 1)
        self.above = maps.zeros(maps.count, half, *self.input.shape[1:])
        self.weight_above = self.condition = None
        if half:
            self.weight_above = maps.prepare_row(weight[:above])
        if gate and gate.condition:
            self.condition = maps.prepare_row(gate.condition.weight.array[None])
        self.constant = bias + _class_bias(gate, maps)
        self.offset = self.constant
        if half or self.condition is not None:
            self.offset = maps.zeros(maps.count, maps.size, columns)

    def start_row(self, row):
        """Move down to a row, and compute what is added at all of its positions."""
        if self.offset is self.constant:
            return
        self.offset[...] = self.constant
        if self.condition is not None:
            self.offset[...] = self._project(self.maps.condition[:, row])
        if self.weight_above is not None:
            self._move_down(row)
            self.offset[...] = kernels.add_rows_above(self.above, self.weight_above, self.offset)

    def _move_down(self, row):
        if row:
            self.above[:, :-1] = self.above[:, 1:].copy()
            self.above[:, -1] = self.input

    def _project(self, condition):
        """offset + what the coarser levels say of a row, (N, W, C) -> (N, W, D)."""
        shape = self.offset.shape
        x, offset = (array.reshape(-1, array.shape[-1]) for array in (condition, self.offset))
        return kernels.affine(x, self.condition, offset).reshape(shape)

    def step(self, result, following=None):
        """Products of the taps and the offset to `result` (N, D), ELU of them to `following`."""
        m = self.maps
        taps = self.input, self.weight, self.offset
        kernels.affine_at(m.where, m.size, *taps, result, following)


def _convolution(layer, maps, gate=None):
    """Of a `CausalConv2d`, or of a `Linear`, which has one tap."""
    weight = layer.weight.array
    weight = weight if weight.ndim == 3 else weight[None]
    return _Convolution(weight, layer.bias.array, maps, getattr(layer, "kernel_size", 1), gate)


def _class_bias(gate, maps):
    """What a gate adds for the class, (N, 1, D), or (1, 1, 1) of zero."""
    if gate is None or gate.label is None:
        return maps.zeros(1, 1, 1)
    return gate.label.table.array[maps.label][:, None]


class _Gated:
    """Two convolutions and a gate: a `GatedResidual`, or what takes in what attention has read."""

    def __init__(self, first, second):
        self.first, self.second = first, second
        self.input = first.input

    def start_row(self, row):
        """Start a row of both convolutions."""
        self.first.start_row(row)
        self.second.start_row(row)

    def step(self, x, following):
        """x (N, C) -> x + gated features, and ELU of that to `following`."""
        m, first, second = self.first.maps, self.first, self.second
        taps = first.input, first.weight, first.offset, second.input, second.weight, second.offset
        kernels.gated_at(m.where, m.size, x, *taps, following)


class _Attention:
    """An `AttentionBlock`: what is read from earlier positions, and the gate that takes it in.

    Query, key and value are one product of the features; what the two position channels add is
    known beforehand, and what the code adds to key and value follows once there is one.

    past   (N, 2, heads, L, d): keys and values of all earlier positions
    """

    def __init__(self, block, maps):
        self.maps, join, hidden = maps, maps.xp.concatenate, maps.table.shape[1]
        projections = block.queries, block.keys, block.values
        weights = [projection.weight.array for projection in projections]
        width = weights[0].shape[1]
        grid = positions(maps.size, maps.size, maps.dtype).reshape(-1, 2)
        bias = join([projection.bias.array for projection in projections])
        self.weight = maps.prepare(join([w[-2 - hidden : -2] for w in weights], axis=1))
        self.offset = (grid @ join([w[-2:] for w in weights], axis=1) + bias)[None]
        of_code = maps.prepare(join([w[:hidden] for w in weights[1:]], axis=1))
        self.table = kernels.affine(maps.table, of_code, maps.zeros(len(maps.table), 2 * width))
        self.projected = maps.zeros(maps.count, 3 * width)
        self.past = maps.zeros(maps.count, 2, block.heads, maps.size**2, width // block.heads)
        merged = join([block.first.weight.array, block.read.weight.array])
        first = _Convolution(merged[None], block.first.bias.array, maps)
        self.merge = _Gated(first, _convolution(block.second, maps, block.gate))
        self.input = self.merge.input

    def start_row(self, row):
        """Start a row of the gate."""
        self.merge.start_row(row)

    def step(self, x, following):
        """x (N, C) -> x + gated features, and ELU of that to `following`."""
        m, projection = self.maps, (self.weight, self.offset, self.projected)
        kernels.attend_at(m.where, m.size, x, *projection, self.past, self.input)
        self.merge.step(x, following)

    def remember(self):
        """Keep keys and values of the position, whose codes are there."""
        kernels.remember_at(self.maps.where, self.maps.codes, self.table, self.projected, self.past)


def _layer(block, maps):
    if isinstance(block, AttentionBlock):
        return _Attention(block, maps)
    first = _convolution(block.first, maps)
    return _Gated(first, _convolution(block.second, maps, block.gate))
