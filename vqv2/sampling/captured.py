"""One more position as one CUDA graph: what a device runs for up to `FEW_ROWS` images.

The work of a position is a hundred small kernels, and starting them one by one takes longer than
they do. Here it is written down once as a list of launches (`backends.reference.position_step`),
each of which reads from and writes to a fixed place, and finds the position in memory:

    embedded code -> first convolution -> blocks -> output stack -> logits -> code -> embedded code

An `IncrementalPrior` has the weights and does what is done once for each row of a map.
"""

from functools import partial

import numpy as np

from backends import array_module
from backends.cupy.engine.cuda_graph import Graph
from backends.cupy.sampling_step import FEW_ROWS
from backends.kernels import advance, affine_at, affine_gate_at, attend_at, embed_at, sample_at
from backends.reference.position_step import Window, whole
from vqv2.sampling.incremental import Attention, CausalConvolution


def fits(stepper):
    """Whether the maps of a stepper can be drawn this way: few, in float32, on a device."""
    on_device = array_module(stepper.table) is not np
    return on_device and 0 < stepper.count <= FEW_ROWS and stepper.table.dtype == np.float32


class CapturedRowSampler:
    """As `vqv2.sampling.rows.RowSampler` with one position in a pass, which a device runs alone.

    stepper   a fresh `IncrementalPrior` of N maps of L = W x W codes
    settings  `Settings`: temperature, top-k, top-p
    """

    def __init__(self, stepper, settings):
        self.stepper = stepper
        self.settings = settings
        self.xp = array_module(stepper.table)
        self.count, self.size = stepper.count, stepper.prior.size
        self.where = self.xp.zeros(1, np.int64)
        self.codes = self.xp.zeros((self.count, self.size**2), np.int64)
        self.noise = self.empty(self.size, self.count, stepper.table.shape[0])
        self.offsets = []  # (convolution, buffer) of every convolution
        self.launches = list(self._launches())
        self._graph = Graph(self.launches)

    def skip_to(self, row):
        """As `IncrementalPrior.skip_to`."""
        self.stepper.skip_to(row)
        self.where[...] = self.stepper.position

    def draw(self, codes, noise):
        """Fill the next row: codes (N, W), -1 where to draw, with Gumbel noise (N, W, K).

        Yields 1 after each position; the codes are there when it ends.
        """
        row = self.stepper.position // self.size
        own = self.codes[:, row * self.size : (row + 1) * self.size]
        self._start_row(row, noise)
        own[...] = codes
        for _ in range(self.size):
            self._graph.run()
            self.stepper.position += 1
            yield 1
        codes[...] = own

    def _start_row(self, row, noise):
        for layer in self.stepper.layers:
            layer.start_row(row)
        for convolution, buffer in self.offsets:
            buffer[...] = convolution.offsets
        self.noise[...] = noise.swapaxes(0, 1)

    def _launches(self):
        stepper, hidden = self.stepper, self.stepper.table.shape[1]
        blocks = [*stepper.blocks, *stepper.output]
        parts = [_part(self, block, hidden) for block in blocks]
        end = _End(self, stepper.final, hidden)
        first, (second, *others) = _Convolution(self, stepper.first), [*parts, end]
        yield first.affine(second.features, second.activation)
        for part, following in zip(parts, others, strict=True):
            yield from part.launches(following)
        yield end.convolution.affine(end.logits, None)
        yield self._sampling(end.logits[0])
        yield self.embedding(first.input)
        for part in parts:
            yield from part.past_launches()
        yield partial(advance, self.where)

    def _sampling(self, logits):
        rows, count = logits.shape
        room = (self.empty(rows, count), self.empty(rows, count))
        dropped = self.xp.empty((rows, count), np.int32)
        s = self.settings
        choice = (s.temperature, s.top_k, s.top_p, *room, dropped)
        return partial(sample_at, self.where, self.size, logits, self.noise, self.codes, *choice)

    def embedding(self, place):
        """The launch that puts the vectors of the position's codes to a place."""
        return partial(embed_at, self.where, self.size, self.stepper.table, self.codes, *place)

    def empty(self, *shape):
        """Memory for numbers of the prior's dtype."""
        return self.xp.empty(shape, self.stepper.table.dtype)


# A *place* is (array, `Window`): where the numbers of all images for a position lie.


class _Convolution:
    """A convolution of an `IncrementalPrior`: where its input goes, and its products."""

    def __init__(self, sampler, layer):
        self.sampler, self.weight = sampler, layer.weight
        count, size, columns = layer.offsets_shape
        offsets = sampler.xp.empty((count, size, columns), sampler.stepper.table.dtype)
        sampler.offsets.append((layer, offsets))
        self.columns, self.offsets = columns, (offsets, Window(0, size * columns, columns))
        if isinstance(layer, CausalConvolution):
            _, lines, across, channels = layer.rows.shape
            line, stride = (lines - 1) * across * channels, lines * across * channels
            self.patch = layer.rows, Window(line, stride, channels)
            self.input = layer.rows, Window(line + layer.half * channels, stride, channels)
        else:
            values = sampler.empty(count, layer.weight.shape[1])
            self.patch = self.input = values, whole(values)

    def affine(self, result, activation):
        """The launch that puts the output to one place and ELU of it to another, or one of them."""
        d = self.sampler
        result, activation = result or (activation[0], None), activation or (result[0], None)
        sizes = (d.where, d.size, d.count, self.columns)
        return partial(
            affine_at, *sizes, *self.patch, self.weight, *self.offsets, *result, *activation
        )

    def gate(self, features, following):
        """The launch that adds the gated output to `features`, for the part that follows."""
        d = self.sampler
        sizes = (d.where, d.size, d.count, self.columns // 2)
        places = (*features, *following.features, *following.activation)
        return partial(affine_gate_at, *sizes, *self.patch, self.weight, *self.offsets, *places)


class _Gated:
    """A `GatedResidual`: features and ELU of them come in."""

    def __init__(self, sampler, layer, hidden):
        self.first = _Convolution(sampler, layer.first)
        self.second = _Convolution(sampler, layer.second)
        array = sampler.empty(sampler.count, hidden)
        self.features, self.activation = (array, whole(array)), self.first.input

    def launches(self, following):
        """From its inputs to those of the part that follows."""
        yield self.first.affine(None, self.second.input)
        yield self.second.gate(self.features, following)

    def past_launches(self):
        """What it keeps of a position once the code is known: nothing that `launches` has not."""
        return ()


class _Attention:
    """An `AttentionBlock`; keys and values of a position follow once its code is known.

    source   (N, 2 hidden): embedded code and features, of which keys and values are made
    joined   (N, hidden + heads d): ELU of the features and of what was read
    past     (N, L, 2, heads, d): keys and values
    """

    def __init__(self, sampler, layer, hidden):
        self.sampler, self.layer = sampler, layer
        self.second = _Convolution(sampler, layer.second)
        width, empty, count = layer.heads * layer.width, sampler.empty, sampler.count
        self.source, self.joined = empty(count, 2 * hidden), empty(count, hidden + width)
        self.embedded = self.source, Window(0, 2 * hidden)
        self.features = self.source, Window(hidden, 2 * hidden)
        self.activation = self.joined, Window(0, hidden + width)
        self.read = self.joined, Window(hidden, hidden + width)
        self.query = empty(count, layer.heads, layer.width)
        self.past = sampler.xp.zeros(
            (count, sampler.size**2, 2, layer.heads, layer.width), self.query.dtype
        )

    def launches(self, following):
        """From its inputs to those of the part that follows."""
        layer, d = self.layer, self.sampler
        width = layer.heads * layer.width
        query = self.query, Window(0, width)
        yield self._project(self.features, layer.queries, query)
        yield partial(attend_at, d.where, self.query, self.past, *self.read)
        bias = layer.merge_bias, whole(layer.merge_bias)
        sizes = (d.where, d.size, d.count, bias[0].shape[1])
        activation = self.second.input
        joined = (self.joined, whole(self.joined), layer.merge_weight)
        yield partial(affine_at, *sizes, *joined, *bias, activation[0], None, *activation)
        yield self.second.gate(self.features, following)

    def past_launches(self):
        """Keys and values of the position."""
        width = 2 * self.layer.heads * self.layer.width
        window = Window(0, self.sampler.size**2 * width, width, True)
        yield self.sampler.embedding(self.embedded)
        yield self._project(
            (self.source, whole(self.source)), self.layer.keys_and_values, (self.past, window)
        )

    def _project(self, source, projection, result):
        d, columns = self.sampler, projection.offsets.shape[1]
        offsets = projection.offsets, Window(0, 0, columns, True)
        sizes = (d.where, d.size, d.count, columns)
        arrays = (*source, projection.weight, *offsets, *result, result[0], None)
        return partial(affine_at, *sizes, *arrays)


class _End:
    """The last convolution, from ELU of the features to logits."""

    def __init__(self, sampler, layer, hidden):
        self.convolution = _Convolution(sampler, layer)
        self.activation = self.convolution.input
        array = sampler.empty(sampler.count, hidden)
        self.features = array, whole(array)  # written, and read by nobody
        logits = sampler.empty(sampler.count, self.convolution.columns)
        self.logits = logits, whole(logits)


def _part(sampler, layer, hidden):
    return (_Attention if isinstance(layer, Attention) else _Gated)(sampler, layer, hidden)
