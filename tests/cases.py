"""Inputs for every kernel: ordinary, of size one, empty, off the block sizes, and extreme.

    arguments = CASES[kernel][name](Draw(np.float32, "strided"))

draws the same numbers for every dtype and layout, all of them exact in float32, so that results
in different dtypes and layouts can be compared with one another.
"""

from functools import partial

import numpy as np

from backends import (
    adam,
    attention,
    causal_conv,
    channels,
    conv,
    cross_entropy,
    elementwise,
    logistic_mixture,
    position_step,
    product,
    quantize,
    sample,
    sampling_step,
    squared_error,
)
from backends.position_step import Window

LAYOUTS = ("contiguous", "strided", "transposed")


class Draw:
    """Random arrays of one dtype and one memory layout, the same numbers for all of these."""

    def __init__(self, dtype, layout="contiguous", seed=0):
        self.dtype = np.dtype(dtype)
        self.layout = layout
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape):
        """Normal numbers."""
        return self.place(self.rng.standard_normal(shape).astype(np.float32).astype(self.dtype))

    def whole(self, low, high, *shape):
        """Whole numbers low ... high - 1, as floats: sums and products of a few are exact."""
        return self.place(self.rng.integers(low, high, shape).astype(self.dtype))

    def codes(self, count, *shape):
        """Codes 0 ... count - 1, int64."""
        return self.place(self.rng.integers(0, count, shape))

    def place(self, array):
        """`array` in the memory layout asked for."""
        if self.layout == "transposed":
            return np.array(array, order="F")
        if self.layout == "strided":
            filler = np.nan if array.dtype.kind == "f" else 2**40  # must never be read
            wide = np.full([2 * n for n in array.shape], filler, array.dtype)
            view = wide[(..., *[slice(None, None, 2)] * array.ndim)]
            view[...] = array
            return view
        return np.asarray(array)


# images, height, width, kernel, channels in, channels out, stride, padding
CONVOLUTIONS = {
    "3x3": (2, 5, 6, 3, 3, 4, 1, 1),
    "halving-4x4": (2, 6, 8, 4, 3, 5, 2, 1),
    "odd-size-halved": (2, 7, 5, 4, 1, 3, 2, 1),
    "no-padding": (1, 4, 5, 3, 2, 1, 1, 0),
    "wide-padding": (1, 2, 3, 3, 2, 2, 1, 5),
    "gaps-between-taps": (2, 7, 9, 2, 3, 2, 3, 0),
    "pointwise": (2, 3, 4, 1, 5, 3, 1, 0),
    "pointwise-stride-2": (2, 5, 4, 1, 3, 5, 2, 0),
    "one-pixel": (1, 1, 1, 3, 1, 1, 1, 1),
    "no-images": (0, 4, 4, 3, 2, 3, 1, 1),
    "many-channels": (2, 17, 16, 3, 33, 70, 1, 1),
    "many-channels-halved": (1, 34, 32, 4, 40, 32, 2, 1),
    "no-images-many-channels": (0, 16, 16, 3, 32, 32, 1, 1),
    "no-images-pointwise": (0, 4, 4, 1, 2, 3, 1, 0),
}


def _conv2d(n, height, width, kernel, channels, channels_out, stride, padding, draw):
    x = draw(n, height, width, channels)
    return x, draw(kernel, kernel, channels, channels_out), stride, padding


def _output_shape(n, height, width, kernel, channels, channels_out, stride, padding):
    rows, columns = (conv.output_size(size, kernel, stride, padding) for size in (height, width))
    return n, rows, columns, channels_out


def _conv2d_input_gradient(*spec_and_draw):
    *spec, draw = spec_and_draw
    n, height, width, kernel, channels, channels_out, stride, padding = spec
    dy = draw(*_output_shape(*spec))
    w = draw(kernel, kernel, channels, channels_out)
    return dy, w, stride, padding, height, width


def _conv2d_weight_gradient(*spec_and_draw):
    *spec, draw = spec_and_draw
    n, height, width, kernel, channels, _, stride, padding = spec
    x = draw(n, height, width, channels)
    return x, draw(*_output_shape(*spec)), kernel, stride, padding


# maps, height, width, kernel, centre tap, channels in, channels out
CAUSAL_CONVOLUTIONS = {
    "5x5": (2, 4, 6, 5, True, 3, 4),
    "5x5-without-centre": (2, 6, 4, 5, False, 5, 3),
    "3x3": (3, 3, 5, 3, True, 1, 2),
    "3x3-without-centre": (1, 3, 5, 3, False, 2, 1),
    "kernel-1": (2, 3, 4, 1, True, 3, 5),
    "map-smaller-than-kernel": (2, 1, 2, 7, True, 2, 2),
    "one-pixel": (1, 1, 1, 5, True, 1, 1),
    "one-pixel-without-centre": (1, 1, 1, 3, False, 1, 1),
    "no-maps": (0, 4, 4, 5, True, 2, 3),
    "many-channels": (2, 9, 18, 5, True, 133, 70),
    "many-channels-without-centre": (1, 5, 64, 5, False, 32, 33),
}


def _causal_conv2d(n, height, width, kernel, centre, channels, channels_out, draw):
    x = draw(n, height, width, channels)
    return x, draw(causal_conv.tap_count(kernel, centre), channels, channels_out), kernel


def _causal_input_gradient(n, height, width, kernel, centre, channels, channels_out, draw):
    dy = draw(n, height, width, channels_out)
    return dy, draw(causal_conv.tap_count(kernel, centre), channels, channels_out), kernel


def _causal_weight_gradient(n, height, width, kernel, centre, channels, channels_out, draw):
    x, dy = draw(n, height, width, channels), draw(n, height, width, channels_out)
    return x, dy, kernel, causal_conv.tap_count(kernel, centre)


BLOCK = attention.QUERY_BLOCK

# images times heads, positions, width of queries, width of values, dropout rate, dropout on
ATTENTIONS = {
    "short": (3, 5, 4, 6, 0.0, "logits"),
    "short-logits-dropped": (3, 5, 4, 6, 0.3, "logits"),
    "short-weights-dropped": (3, 5, 4, 6, 0.3, "weights"),
    "one-block": (2, BLOCK, 3, 2, 0.3, "logits"),
    "one-row-more-than-a-block": (2, BLOCK + 1, 3, 2, 0.3, "weights"),
    "two-blocks-and-two-rows": (2, 2 * BLOCK + 2, 5, 3, 0.3, "logits"),
    "two-blocks-and-two-rows-weights": (1, 2 * BLOCK + 2, 5, 3, 0.7, "weights"),
    "one-position": (2, 1, 4, 3, 0.3, "logits"),
    "two-positions-of-width-1": (1, 2, 1, 1, 0.0, "weights"),
    "no-positions": (2, 0, 4, 3, 0.0, "logits"),
    "no-images": (0, 4, 4, 3, 0.3, "weights"),
}
SEED = 2**63 + 12345  # one that does not fit into a signed number


def _causal_attention(batch, length, width, width_out, rate, dropout_on, draw):
    queries, keys = draw(batch, length, width), draw(batch, length, width)
    return queries, keys, draw(batch, length, width_out), rate, SEED, dropout_on


def _causal_attention_gradient(*spec_and_draw):
    *spec, draw = spec_and_draw
    *arrays, rate, seed, dropout_on = _causal_attention(*spec, draw)
    output, log_normalizer = attention.causal_attention.reference(*arrays, rate, seed, dropout_on)
    d_output = draw(*output.shape)
    forward = (draw.place(output), draw.place(log_normalizer))
    return *arrays, *forward, d_output, rate, seed, dropout_on


SHAPES = {
    "images": (2, 3, 5, 6),
    "rows": (7, 2),
    "one-number": (1, 1),
    "empty": (0, 4),
    "scalar": (),
}
EXTREMES = (-100, -87, -20, -1, -0.001, 0, 0.001, 1, 20, 87, 100)


def _elementwise(shape, arrays, draw):
    return tuple(draw(*shape) for _ in range(arrays))


def _extremes(draw):
    return (draw.place(np.array(EXTREMES, np.float32).astype(draw.dtype)),)


def _elementwise_cases(arrays):
    return {name: partial(_elementwise, shape, arrays) for name, shape in SHAPES.items()}


# rows, channels
CHANNELS = {
    "rows": (7, 5),
    "several-parts": (200, 3),
    "more-rows-than-parts": (64 * 32 + 37, 2),
    "one-row": (1, 4),
    "one-channel": (70, 1),
}


def _channels(letters, rows, count, draw):
    """Arrays (rows, count) for every R, (count,) for every C."""
    return tuple(draw(rows, count) if letter == "R" else draw(count) for letter in letters)


def _channel_cases(letters, with_empty=True):
    shapes = {**CHANNELS, "no-rows": (0, 3), "no-channels": (4, 0)} if with_empty else CHANNELS
    return {name: partial(_channels, letters, *shape) for name, shape in shapes.items()}


def _squared_error_gradient(shape, draw):
    return draw(*shape), draw(*shape), draw()


GATES = {
    "images": (2, 3, 5, 6),
    "one-channel": (7, 2),
    "no-rows": (0, 4),
    "no-channels": (3, 0),
    "one-axis": (10,),
}


def _gate(shape, draw):
    return (draw(*shape),)


def _gate_extremes(draw):
    gates = np.array(EXTREMES, np.float32).astype(draw.dtype)
    return (draw.place(np.concatenate([np.ones_like(gates), gates])),)


def _gate_gradient(shape, draw):
    return draw(*shape), draw(*shape[:-1], shape[-1] // 2)


def _gate_gradient_extremes(draw):
    return *_gate_extremes(draw), draw(len(EXTREMES))


def _dropout(shape, rate, seed, draw):
    return draw(*shape), rate, seed


# vectors, codes, dimensions
QUANTIZATIONS = {
    "one-block": (128, 16, 8),
    "one-vector-more-than-a-block": (129, 7, 5),
    "two-blocks-and-a-half": (320, 33, 3),
    "fewer-vectors-than-a-block": (6, 5, 64),
    "one-vector": (1, 9, 4),
    "one-code": (5, 1, 4),
    "one-dimension": (50, 4, 1),
    "more-columns-than-a-task": (30, 5, 33),
    "no-vectors": (0, 5, 4),
}


def _nearest_code(n, count, dimensions, low, high, draw):
    vectors, codebook = (
        draw.whole(low, high, n, dimensions),
        draw.whole(low, high, count, dimensions),
    )
    codebook[count // 2] = codebook[0]  # the same code twice: ties
    return vectors, codebook


def _codebook_statistics(n, count, dimensions, draw):
    return draw(n, dimensions), draw.codes(count, n), count


# rows, codes, scale of the logits
LOGITS = {
    "rows": (7, 9, 1),
    "far-apart": (7, 9, 200),
    "one-code": (4, 1, 1),
    "one-row": (1, 512, 1),
    "no-rows": (0, 5, 1),
}


def _cross_entropy(rows, count, scale, draw):
    return draw.place(draw(rows, count) * draw.dtype.type(scale)), draw.codes(count, rows)


def _cross_entropy_gradient(rows, count, scale, draw):
    return *_cross_entropy(rows, count, scale, draw), draw(rows)


# vectors, dimensions, components, bins, factor of the parameters
MIXTURES = {
    "vectors": (7, 3, 4, 256, 1),
    "few-bins": (30, 4, 3, 3, 1),
    "edges-only": (12, 3, 2, 2, 1),
    "tiny-and-huge-scales": (9, 3, 4, 256, 6),
    "one-dimension": (5, 1, 3, 16, 1),
    "one-component": (5, 4, 1, 16, 1),
    "one-vector": (1, 9, 10, 256, 1),
    "no-vectors": (0, 3, 2, 5, 1),
}


def _logistic_mixture(vectors, dimensions, components, bins, factor, draw):
    count = logistic_mixture.parameter_count(dimensions, components)
    parameters = draw.place(draw(vectors, count) * draw.dtype.type(factor))
    targets = draw.codes(bins, vectors, dimensions)
    targets[:1], targets[-1:, -1:] = 0, bins - 1
    return parameters, targets, components, bins


def _logistic_mixture_gradient(vectors, *spec_and_draw):
    parameters, targets, *counts = _logistic_mixture(vectors, *spec_and_draw)
    return parameters, targets, spec_and_draw[-1](vectors), *counts


# rows, codes, temperature, top_k, top_p
SAMPLINGS = {
    "all-codes": (20, 9, 1.0, 0, 1.0),
    "cold": (20, 9, 0.25, 0, 1.0),
    "temperature-0": (20, 9, 0, 3, 0.5),
    "top-k": (20, 9, 1.0, 3, 1.0),
    "top-k-of-all": (20, 9, 1.0, 20, 1.0),
    "top-p": (20, 9, 1.0, 0, 0.7),
    "top-k-and-p": (20, 9, 2.0, 4, 0.7),
    "one-code": (3, 1, 1.0, 1, 0.5),
    "no-rows": (0, 5, 1.0, 2, 0.5),
}


def _sample_codes(rows, count, temperature, top_k, top_p, draw):
    return draw(rows, count), draw(rows, count), temperature, top_k, top_p


# rows, length, columns
PRODUCTS = {
    "one-row": (1, 70, 130),
    "two-rows": (2, 5, 64),
    "off-the-tile": (9, 300, 65),
    "narrow": (40, 5, 3),
    "several-panels": (500, 7, 128),
    "many-blocks": (13, 12, 200),
    "one-number": (1, 1, 1),
    "no-rows": (0, 4, 5),
    "no-length": (4, 0, 5),
    "no-columns": (4, 5, 0),
}


def _matmul(rows, length, columns, draw):
    return draw(rows, length), draw(length, columns)


def _affine(rows, length, columns, storage, activated, draw):
    w = sampling_step.prepare(draw(length, columns), storage)
    return draw(rows, length), w, draw(rows, columns), activated


def _affine_gate(rows, length, channels, storage, draw):
    w = sampling_step.prepare(draw(length, 2 * channels), storage, halves=2)
    return draw(rows, length), w, draw(rows, 2 * channels), draw(rows, channels)


# images, heads, positions, width, count
READINGS = {
    "some": (2, 3, 9, 4, 5),
    "all": (1, 2, 6, 3, 6),
    "one": (2, 1, 4, 5, 1),
    "none": (2, 3, 4, 2, 0),
    "no-images": (0, 2, 4, 3, 2),
}


def _attend(images, heads, positions, width, count, draw):
    past = (images, heads, positions, width)
    return draw(images, heads, width), draw(*past), draw(*past), count


def _step_cases(builder, *more):
    """Every product in both storages."""
    return {
        f"{name}-{storage}": partial(builder, *row, storage, *more)
        for name, row in PRODUCTS.items()
        for storage in sampling_step.STORAGES
    }


def _adam_update(shape, step, draw):
    square = draw.place(draw(*shape) ** 2)
    arrays = (draw(*shape), draw(*shape), draw(*shape), square, draw(*shape))
    return *arrays, step, 0.01, 0.9, 0.999, 1e-8, 0.9999


# What works at a position: column 2 of the second row of maps of 4 columns, L = 16 positions.
WHERE, SIZE = 6, 4


def _where():
    return np.array([WHERE])


def _room(draw, *shape):
    """Numbers without gaps, as all arrays of a recorded step are."""
    return np.array(draw(*shape), order="C")


def _packed(w, storage, halves=1):
    prepared = sampling_step.prepare(w, storage, halves)
    return prepared if prepared.ndim == 3 else product.pack(prepared, halves)


def _affine_at(rows, length, columns, storage, by_position, outputs, draw):
    x, w = _room(draw, rows, SIZE + 1, length), _packed(draw(length, columns), storage)
    x_window = Window(length, (SIZE + 1) * length, length)
    y_window = Window(1, SIZE**2 * (columns + 3), columns + 3, True)
    activation_window = Window(columns, (SIZE + 1) * columns, columns)
    if by_position:
        offset, offset_window = _room(draw, SIZE**2, columns), Window(0, 0, columns, True)
    else:
        offset = _room(draw, rows, SIZE + 1, columns)
        offset_window = Window(columns, (SIZE + 1) * columns, columns)
    y, activation = _room(draw, rows, SIZE**2, columns + 3), _room(draw, rows, SIZE + 1, columns)
    return (
        *(_where(), SIZE, rows, columns, x, x_window, w, offset, offset_window),
        *(y, y_window if outputs & 1 else None),
        *(activation, activation_window if outputs & 2 else None),
    )


def _affine_gate_at(rows, length, channels, storage, draw):
    x = _room(draw, rows, SIZE + 1, length)
    offset = _room(draw, rows, SIZE, 2 * channels)
    w = _packed(draw(length, 2 * channels), storage, halves=2)
    wide = Window(channels, 2 * channels)
    return (
        *(_where(), SIZE, rows, channels, x, Window(length, (SIZE + 1) * length, length), w),
        *(offset, Window(0, SIZE * 2 * channels, 2 * channels)),
        *(_room(draw, rows, 2 * channels), wide, _room(draw, rows, 2 * channels), wide),
        _room(draw, rows, SIZE + 2, channels),
        Window(2 * channels, (SIZE + 2) * channels, channels),
    )


def _attend_at(images, heads, positions, width, count, draw):
    past, output = _room(draw, images, positions, 2, heads, width), _room(draw, images, 40)
    query = _room(draw, images, heads, width)
    return np.array([count]), query, past, output, Window(3, 40)


def _sample_at(rows, count, temperature, top_k, top_p, draw):
    codes = np.where(draw.rng.random((rows, SIZE**2)) < 0.5, -1, 3)
    room = (_room(draw, rows, count), _room(draw, rows, count), np.zeros((rows, count), np.int32))
    logits, gumbel = _room(draw, rows, count), _room(draw, SIZE, rows, count)
    return _where(), SIZE, logits, gumbel, codes, temperature, top_k, top_p, *room


def _embed_at(images, hidden, draw):
    codes, y = draw.rng.integers(0, 5, (images, SIZE**2)), _room(draw, images, SIZE + 1, hidden)
    window = Window(hidden, (SIZE + 1) * hidden, hidden)
    return _where(), SIZE, _room(draw, 5, hidden), codes, y, window


def _unscale(shape, draw):
    return draw(*shape), 2.0**-7, draw.place(np.zeros(1, draw.dtype))


def _table(builder, table, *more):
    """One case per row of a table."""
    return {name: partial(builder, *row, *more) for name, row in table.items()}


CASES = {
    conv.conv2d: _table(_conv2d, CONVOLUTIONS),
    conv.conv2d_input_gradient: _table(_conv2d_input_gradient, CONVOLUTIONS),
    conv.conv2d_weight_gradient: _table(_conv2d_weight_gradient, CONVOLUTIONS),
    causal_conv.causal_conv2d: _table(_causal_conv2d, CAUSAL_CONVOLUTIONS),
    causal_conv.causal_conv2d_input_gradient: _table(_causal_input_gradient, CAUSAL_CONVOLUTIONS),
    causal_conv.causal_conv2d_weight_gradient: _table(_causal_weight_gradient, CAUSAL_CONVOLUTIONS),
    attention.causal_attention: _table(_causal_attention, ATTENTIONS),
    attention.causal_attention_gradient: _table(_causal_attention_gradient, ATTENTIONS),
    elementwise.add: {
        **_elementwise_cases(2),
        "many": partial(_elementwise, (3, elementwise.SMALL), 2),
        "broadcast": lambda draw: (draw(3, 4), draw(4)),
        "many-broadcast": lambda draw: (draw(elementwise.SMALL, 2), draw(elementwise.SMALL, 1)),
        "many-and-a-number": lambda draw: (draw(elementwise.SMALL), 0.5),
    },
    channels.add_bias: {
        **_channel_cases("RC"),
        "images": lambda draw: (draw(2, 3, 5, 6), draw(6)),
    },
    channels.sum_rows: _channel_cases("R"),
    channels.moments: _channel_cases("R", with_empty=False),
    channels.normalize: _channel_cases("RCCC"),
    channels.correlate: _channel_cases("RCR"),
    channels.combine: _channel_cases("RCRCCC"),
    squared_error.mean_squared_error: {
        name: partial(_elementwise, SHAPES[name], 2) for name in ("images", "rows", "one-number")
    },
    squared_error.mean_squared_error_gradient: {
        name: partial(_squared_error_gradient, SHAPES[name])
        for name in ("images", "rows", "one-number")
    },
    elementwise.relu: {**_elementwise_cases(1), "extremes": _extremes},
    elementwise.relu_gradient: _elementwise_cases(2),
    elementwise.elu: {**_elementwise_cases(1), "extremes": _extremes},
    elementwise.elu_gradient: _elementwise_cases(2),
    elementwise.sigmoid: {**_elementwise_cases(1), "extremes": _extremes},
    elementwise.gate: {
        **{name: partial(_gate, shape) for name, shape in GATES.items()},
        "extremes": _gate_extremes,
    },
    elementwise.gate_gradient: {
        **{name: partial(_gate_gradient, shape) for name, shape in GATES.items()},
        "extremes": _gate_gradient_extremes,
    },
    elementwise.dropout: {
        **{name: partial(_dropout, shape, 0.3, SEED) for name, shape in SHAPES.items()},
        "nothing-dropped": partial(_dropout, (40, 5), 0.0, 1),
        "nearly-all-dropped": partial(_dropout, (40, 5), 0.9, 2**64 - 1),
    },
    quantize.nearest_code: {
        **_table(_nearest_code, QUANTIZATIONS, -4, 5),
        "far-from-zero": partial(_nearest_code, 70, 20, 6, 2**22, 2**22 + 9),
    },
    quantize.codebook_statistics: _table(_codebook_statistics, QUANTIZATIONS),
    cross_entropy.cross_entropy: _table(_cross_entropy, LOGITS),
    cross_entropy.cross_entropy_gradient: _table(_cross_entropy_gradient, LOGITS),
    logistic_mixture.logistic_mixture: _table(_logistic_mixture, MIXTURES),
    logistic_mixture.logistic_mixture_gradient: _table(_logistic_mixture_gradient, MIXTURES),
    sample.sample_codes: _table(_sample_codes, SAMPLINGS),
    product.matmul: _table(_matmul, PRODUCTS),
    sampling_step.affine: {
        **_step_cases(_affine, False),
        "activated": partial(_affine, 9, 70, 65, "float32", True),
    },
    sampling_step.affine_gate: _step_cases(_affine_gate),
    sampling_step.attend: _table(_attend, READINGS),
    position_step.affine_at: {
        **_step_cases(_affine_at, False, 3),
        "by-position": partial(_affine_at, 9, 70, 65, "float32", True, 1),
        "activation-only": partial(_affine_at, 3, 70, 65, "float32", False, 2),
    },
    position_step.affine_gate_at: _step_cases(_affine_gate_at),
    position_step.attend_at: _table(_attend_at, READINGS),
    position_step.sample_at: _table(_sample_at, SAMPLINGS),
    position_step.embed_at: {
        "images": partial(_embed_at, 3, 300),
        "one-channel": partial(_embed_at, 1, 1),
        "no-images": partial(_embed_at, 0, 4),
    },
    position_step.advance: {"on": lambda draw: (_where(),)},
    adam.adam_update: {
        **{name: partial(_adam_update, shape, 3) for name, shape in SHAPES.items()},
        "first-step": partial(_adam_update, (3, 5), 1),
        "late-step": partial(_adam_update, (3, 5), 10**6),
    },
    adam.unscale: {name: partial(_unscale, shape) for name, shape in SHAPES.items()},
}

# Kernels that work in place, and the arguments that they change: these are their results.
CHANGED = {
    adam.adam_update: (0, 2, 3, 4),
    adam.unscale: (0, 2),
    channels.add_bias: (0,),
    position_step.affine_at: (9, 11),
    position_step.affine_gate_at: (11, 13),
    position_step.attend_at: (3,),
    position_step.sample_at: (4,),
    position_step.embed_at: (4,),
    position_step.advance: (0,),
}


def run(kernel, function, arguments):
    """The results, a tuple of arrays, of one version of `kernel`."""
    results = function(*arguments)
    if kernel in CHANGED:
        assert results is None
        return tuple(arguments[i] for i in CHANGED[kernel])
    return results if isinstance(results, tuple) else (results,)
