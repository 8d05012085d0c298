"""Cases of elementwise kernels, of every kind of shape."""

from functools import partial

import numpy as np

from backends import kernels
from backends.numba.addition import SMALL
from tests.cases.draw import table

SHAPES = {
    "images": (2, 3, 5, 6),
    "rows": (7, 2),
    "one-number": (1, 1),
    "empty": (0, 4),
    "scalar": (),
}

EXTREMES = (-100, -87, -20, -1, -0.001, 0, 0.001, 1, 20, 87, 100)

SEED = 2**63 + 12345  # one that does not fit into a signed number


def _elementwise(shape, arrays, draw):
    return tuple(draw(*shape) for _ in range(arrays))


def _extremes(draw):
    return (draw.place(np.array(EXTREMES, np.float32).astype(draw.dtype)),)


def _cases(arrays):
    return {name: partial(_elementwise, shape, arrays) for name, shape in SHAPES.items()}


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


BIASED = {
    "images": (2, 3, 5, 6),
    "several-parts": (200, 3),
    "many-channels": (3, 140),
    "no-rows": (0, 4),
    "no-channels": (3, 0),
}


def _biased(shape, draw):
    return draw(*shape), draw(shape[-1])


def _pair(shape, draw):
    return draw(*shape), draw(*shape)


def _biased_cases(builder):
    return {name: partial(builder, shape) for name, shape in BIASED.items()}


# maps, their height and width, channels; whether there is a condition, and a label; what is dropped
BLOCKS = {
    "plain": (2, 3, 5, 6, False, False, 0.0),
    "conditioned": (2, 3, 5, 6, True, False, 0.3),
    "labelled": (3, 2, 2, 4, False, True, 0.3),
    "everything": (2, 7, 7, 3, True, True, 0.3),
    "many-channels": (2, 1, 1, 140, True, True, 0.3),
    "no-maps": (0, 3, 3, 2, True, True, 0.3),
    "no-channels": (2, 3, 3, 0, True, True, 0.3),
}


def _gate_block(count, height, width, channels, conditioned, labelled, rate, draw):
    maps = (count, height, width)
    return (
        draw(*maps, channels),
        draw(*maps, 2 * channels),
        draw(2 * channels),
        draw(*maps, 2 * channels) if conditioned else None,
        draw(count, 2 * channels) if labelled else None,
        rate,
        SEED,
    )


def _gate_block_gradient(count, height, width, channels, conditioned, labelled, rate, draw):
    maps = (count, height, width)
    return draw(*maps, 2 * channels), draw(*maps, channels), rate, SEED


def _dropout(shape, rate, seed, draw):
    return draw(*shape), rate, seed


CASES = {
    kernels.add: {
        **_cases(2),
        "many": partial(_elementwise, (3, SMALL), 2),
        "broadcast": lambda draw: (draw(3, 4), draw(4)),
        "many-broadcast": lambda draw: (draw(SMALL, 2), draw(SMALL, 1)),
        "many-and-a-number": lambda draw: (draw(SMALL), 0.5),
    },
    kernels.relu: {**_cases(1), "extremes": _extremes},
    kernels.relu_gradient: {**_cases(2), "onto": partial(_elementwise, (7, 2), 3)},
    kernels.elu: {**_cases(1), "extremes": _extremes},
    kernels.elu_gradient: {**_cases(2), "onto": partial(_elementwise, (7, 2), 3)},
    kernels.biased_relu: _biased_cases(_biased),
    kernels.biased_relu_gradient: _biased_cases(_pair),
    kernels.biased_elu: _biased_cases(_biased),
    kernels.biased_elu_gradient: _biased_cases(_pair),
    kernels.gate_block: table(_gate_block, BLOCKS),
    kernels.gate_block_gradient: table(_gate_block_gradient, BLOCKS),
    kernels.sigmoid: {**_cases(1), "extremes": _extremes},
    kernels.gate: {
        **{name: partial(_gate, shape) for name, shape in GATES.items()},
        "extremes": _gate_extremes,
    },
    kernels.gate_gradient: {
        **{name: partial(_gate_gradient, shape) for name, shape in GATES.items()},
        "extremes": _gate_gradient_extremes,
    },
    kernels.dropout: {
        **{name: partial(_dropout, shape, 0.3, SEED) for name, shape in SHAPES.items()},
        "nothing-dropped": partial(_dropout, (40, 5), 0.0, 1),
        "nearly-all-dropped": partial(_dropout, (40, 5), 0.9, 2**64 - 1),
    },
}
