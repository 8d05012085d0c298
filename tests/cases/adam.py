"""Cases of the optimiser."""

from functools import partial

import numpy as np

from backends import kernels
from tests.cases.elementwise import SHAPES


def _adam_update(shape, step, draw):
    square = draw.place(draw(*shape) ** 2)
    arrays = (draw(*shape), draw(*shape), draw(*shape), square, draw(*shape))
    return *arrays, step, 0.01, 0.9, 0.999, 1e-8, 0.9999


def _unscale(shape, draw):
    return draw(*shape), 2.0**-7, draw.place(np.zeros(1, draw.dtype))


CASES = {
    kernels.adam_update: {
        **{name: partial(_adam_update, shape, 3) for name, shape in SHAPES.items()},
        "first-step": partial(_adam_update, (3, 5), 1),
        "late-step": partial(_adam_update, (3, 5), 10**6),
    },
    kernels.unscale: {name: partial(_unscale, shape) for name, shape in SHAPES.items()},
}

CHANGED = {
    kernels.adam_update: (0, 2, 3, 4),
    kernels.unscale: (0, 2),
}
