"""What a model costs, counted from its configuration: parameters, operations, memory.

Nothing is built or run. A `Cost` adds up: that of a layer, of a block, of a whole model; for one
image or map. The layers are counted as `vqv2.nn` writes them: an intermediate result takes part in
`activations` when a gradient reads it, so that the tape keeps it for the backward pass. A product
of matrices or a convolution keeps its input, an activation its output, a gate its input, a sum
nothing; most inputs of products are outputs of activations, and count there.
"""

import dataclasses
import math

from backends.reference.causal_conv import tap_count
from vqv2.models.autoencoder import PARTS
from vqv2.models.prior import block_kinds


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one forward pass of one image."""

    parameters: int = 0  # trained numbers
    operations: int = 0  # additions and multiplications in matrix products
    patches: int = 0  # numbers that convolutions copy side by side for these products
    activations: int = 0  # numbers that training keeps for the backward pass
    streamed: float = 0  # weights that incremental sampling reads for one position
    spared: int = 0  # of the activations, what activation recomputation does not keep
    working: int = 0  # numbers under way at a time: cotangents and results that come and go
    recomputing: float = 0  # the same with recomputation, and activations that are computed again

    def __add__(self, other):
        sums = {n: getattr(self, n) + getattr(other, n) for n in _SUMS}
        return Cost(**sums, **{n: max(getattr(self, n), getattr(other, n)) for n in _MAXIMA})

    def __mul__(self, times):
        return dataclasses.replace(self, **{n: times * getattr(self, n) for n in _SUMS})


_SUMS = ("parameters", "operations", "patches", "activations", "streamed", "spared")
_MAXIMA = ("working", "recomputing")
_RESULTS_UNDER_WAY = 3


def segment(cost, output, parts=1, recomputed=True):
    """What recomputation computes again: of it, only its `output` numbers are kept.

    In `parts` of a batch, one after the other: only such a share of it is under way at a time.
    """
    if not recomputed:
        return cost
    spared = cost.activations - output
    recomputing = (cost.activations + cost.working) / parts
    return dataclasses.replace(cost, spared=spared, recomputing=recomputing)


def under_way(result):
    """Fields of the `Cost` of a layer whose largest result has `result` numbers."""
    return dict.fromkeys(_MAXIMA, _RESULTS_UNDER_WAY * result)


def kept(positions, *channels):
    """Results (positions, channels) that the backward pass reads."""
    return Cost(activations=positions * sum(channels), **under_way(positions * max(channels)))


def linear(positions, channels_in, channels_out, bias=True):
    """A `Linear` on `positions` positions."""
    return Cost(
        channels_in * channels_out + bias * channels_out,
        2 * positions * channels_in * channels_out,
        streamed=channels_in * channels_out,
        **under_way(positions * channels_out),
    )


def convolution(positions, taps, channels_in, channels_out):
    """A convolution with `taps` taps and `positions` positions in its output."""
    patches = positions * taps * channels_in
    return Cost(
        taps * channels_in * channels_out + channels_out,
        2 * patches * channels_out,
        patches if taps > 1 else 0,
        **under_way(positions * max(channels_in, channels_out)),
    )


def causal_convolution(positions, kernel_size, centre, channels_in, channels_out):
    """A `CausalConv2d`; sampling multiplies the taps of the rows above once per row."""
    taps, above = tap_count(kernel_size, centre), kernel_size // 2 * kernel_size
    streamed = channels_in * channels_out * (taps - above + above / math.sqrt(positions))
    cost = convolution(positions, taps, channels_in, channels_out)
    return dataclasses.replace(cost, streamed=streamed)


def transposed_convolution(positions, taps, channels_in, channels_out, stride=2):
    """The same for a transposed convolution of `positions` positions in its *input*."""
    patches = positions * taps * channels_out
    return Cost(
        taps * channels_in * channels_out + channels_out,
        2 * patches * channels_in,
        patches,
        **under_way(positions * max(channels_in, stride**2 * channels_out)),
    )


def total(costs):
    """The sum of costs."""
    return sum(costs, Cost())


def autoencoder(config):
    """A whole `Autoencoder` with its quantisers, per image."""
    sizes = (*config.latent_sizes, config.image_size)
    factors = [fine // coarse for coarse, fine in zip(sizes, sizes[1:], strict=False)]
    levels, hidden, dimension = len(factors), config.hidden_units, config.codebook_dimension
    cost = Cost()
    for level, factor in enumerate(factors):
        finest = level == levels - 1
        channels_in = config.channels if finest else hidden
        positions = sizes[level] ** 2
        cost += _encoder(channels_in, sizes[level + 1], factor, config, finest)
        if level:
            cost += segment(kept(positions, hidden + dimension), 0, recomputed=finest)
        cost += linear(positions, hidden + (dimension if level else 0), dimension)
        cost += Cost(operations=3 * positions * config.codebook_size * dimension)  # nearest codes
        cost += kept(positions, 2 * dimension)  # both sides of the commitment loss
        if not finest or levels == 1:  # those of the finest are joined to others, and not kept
            cost += kept(positions, dimension)  # codes' vectors
        channels_out = config.channels if finest else dimension
        cost += _decoder(sizes[: level + 1], channels_out, factor, config, finest)
    return cost + kept(config.image_size**2, 3 * config.channels)  # input, output, target


def _encoder(channels_in, size, factor, config, recomputed):
    widths = [config.hidden_units // 2] * int(math.log2(factor))
    if len(widths) > 1:
        widths[-1] = config.hidden_units
    cost = Cost()
    for width in widths:
        size //= 2
        cost += convolution(size**2, config.upsampling_filter_size**2, channels_in, width)
        cost += kept(size**2, width)
        channels_in = width
    taps, hidden = config.encoder_filter_size**2, config.hidden_units
    refined = convolution(size**2, taps, channels_in, hidden) + _residual_stack(size**2, config)
    shrunk = segment(cost, size**2 * channels_in, PARTS, recomputed)
    return shrunk + segment(refined, size**2 * hidden, PARTS, recomputed)


def _decoder(sizes, channels_out, factor, config, recomputed):
    dimension, hidden, size = config.codebook_dimension, config.hidden_units, sizes[-1]
    cost = total(
        _upsampling(coarse, dimension, dimension, dimension, size // coarse, config)
        for coarse in sizes[:-1]
    )
    channels = len(sizes) * dimension
    if len(sizes) > 1:
        cost += kept(size**2, channels)
    cost += convolution(size**2, config.encoder_filter_size**2, channels, hidden)
    cost += _residual_stack(size**2, config)
    enlarged = _upsampling(size, hidden, hidden // 2, channels_out, factor, config)
    output = (size * factor) ** 2 * channels_out
    refined = segment(cost, size**2 * hidden, PARTS, recomputed)
    return refined + segment(enlarged, output, PARTS, recomputed)


def _upsampling(size, channels_in, channels, channels_out, factor, config):
    count, taps = int(math.log2(factor)), config.upsampling_filter_size**2
    widths = [channels_in, *[channels] * (count - 1), channels_out]
    cost = Cost()
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        if i:
            cost += kept(size**2, a)
        cost += transposed_convolution(size**2, taps, a, b)
        size *= 2
    return cost


def _residual_stack(positions, config):
    hidden, residual = config.hidden_units, config.residual_units
    block = (
        kept(positions, hidden, residual)
        + convolution(positions, config.encoder_filter_size**2, hidden, residual)
        + linear(positions, residual, hidden)
    )
    return block * config.layers + kept(positions, hidden)


def prior_parts(config, codebook_size, size, coarser=(), classes=0):
    """(part, `Cost` per map) of each block, in order, under the names of `Prior.parameter_table`.

    The arguments are those of `Prior`.
    """
    positions, hidden = size**2, config.hidden_units
    condition = config.conditioning_units if coarser else 0
    yield "embedding", Cost(codebook_size * hidden, activations=positions * hidden)
    first = causal_convolution(positions, config.filter_size, False, hidden, hidden)
    yield "first convolution", first
    for block in _conditioning(config, size, coarser) if coarser else ():
        yield "conditioning stack", block
    for kind in block_kinds(config):
        if kind == "gated":
            sizes = (config.filter_size, config.second_kernel)
            name, block = "gated layers", _gated_layer(config, positions, sizes, condition, classes)
        else:
            name, block = "attention", _attention_block(config, positions, condition, classes)
        yield name, segment(block, positions * hidden)
    inside = config.condition_output_stack
    for _ in range(config.output_stack_layers):
        block = _gated_layer(config, positions, (1, 1), condition * inside, classes * inside)
        yield "output stack", segment(block, positions * hidden)
    logits = kept(positions, hidden, codebook_size) + linear(positions, hidden, codebook_size)
    yield "output stack", logits


def prior(config, codebook_size, size, coarser=(), classes=0):
    """A whole `Prior`, per map; its arguments are those of `Prior`."""
    return total(cost for _, cost in prior_parts(config, codebook_size, size, coarser, classes))


def _gate(config, positions, condition, classes):
    hidden = config.hidden_units
    cost = kept(positions, 2 * hidden) + Cost(2 * hidden * classes)
    return cost + linear(positions, condition, 2 * hidden, bias=False) if condition else cost


def _causal(positions, kernel_size, channels_in, channels_out):
    if kernel_size == 1:
        return linear(positions, channels_in, channels_out)
    return causal_convolution(positions, kernel_size, True, channels_in, channels_out)


def _gated_layer(config, positions, kernel_sizes, condition, classes):
    hidden, residual = config.hidden_units, config.residual_units
    return (
        kept(positions, hidden, residual)
        + _causal(positions, kernel_sizes[0], hidden, residual)
        + _causal(positions, kernel_sizes[1], residual, 2 * hidden)
        + _gate(config, positions, condition, classes)
    )


def _attention_block(config, positions, condition, classes):
    hidden, residual, width = config.hidden_units, config.residual_units, config.hidden_units // 2
    inputs = kept(positions, hidden + 2, 2 * hidden + 2)
    projections = (
        linear(positions, hidden + 2, width) + linear(positions, 2 * hidden + 2, width) * 2
    )
    products = Cost(operations=2 * positions**2 * width)  # two products over half of all pairs
    heads = kept(positions, *[width] * 4)  # by head: queries, keys, values; what was read
    normalizers = kept(positions, config.attention_heads)
    merged = (
        kept(positions, hidden, width, residual)
        + linear(positions, hidden, residual)
        + linear(positions, width, residual, bias=False)
        + linear(positions, residual, 2 * hidden)
    )
    return (
        inputs
        + projections
        + products
        + heads
        + normalizers
        + merged
        + _gate(config, positions, condition, classes)
    )


def _conditioning(config, size, coarser):
    hidden = config.hidden_units
    for count, _ in coarser:
        yield Cost(count * hidden)
    joined = len(coarser) * hidden
    yield from (dataclasses.replace(cost, streamed=0) for cost in _once(config, size, joined))


def _once(config, size, joined):
    """The conditioning stack, which sampling runs once for a map."""
    channels, double = config.conditioning_units, 2 * config.conditioning_units
    blocks = config.conditioning_blocks
    full, half, quarter = size**2, (size // 2) ** 2, (size // 4) ** 2
    yield kept(full, joined) + linear(full, joined, channels)
    yield from [_conditioning_block(full, channels)] * (blocks // 2)
    yield kept(full, channels) + convolution(half, 1, channels, double)
    yield from [_conditioning_block(half, double)] * (blocks // 2)
    yield kept(half, double) + convolution(quarter, 1, double, double)
    yield from [_conditioning_block(quarter, double)] * blocks
    yield kept(quarter, double) + transposed_convolution(quarter, 4, double, double)
    yield from [_conditioning_block(half, double)] * (blocks // 2)
    yield kept(half, double) + transposed_convolution(half, 4, double, channels)
    yield from [_conditioning_block(full, channels)] * (blocks // 2)
    yield kept(full, channels)


def _conditioning_block(positions, channels):
    inner = channels // 4
    normalization = Cost(2 * channels, activations=positions * channels)  # its input
    block = (
        normalization
        + kept(positions, channels, inner, inner)
        + linear(positions, channels, inner)
        + convolution(positions, 9, inner, inner)
        + linear(positions, inner, channels)
    )
    return segment(block, positions * channels)
