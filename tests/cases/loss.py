"""Cases of the losses."""

from functools import partial

from backends import kernels
from tests.cases.draw import table
from tests.cases.elementwise import SHAPES

# rows, codes, scale of the logits
LOGITS = {
    "rows": (7, 9, 1),
    "far-apart": (7, 9, 200),
    "one-code": (4, 1, 1),
    "one-row": (1, 512, 1),
    "no-rows": (0, 5, 1),
}


def _squared_error(shape, draw):
    return draw(*shape), draw(*shape)


def _squared_error_gradient(shape, draw):
    return draw(*shape), draw(*shape), draw()


def _cross_entropy(rows, count, scale, draw):
    return draw.place(draw(rows, count) * draw.dtype.type(scale)), draw.codes(count, rows)


def _cross_entropy_gradient(rows, count, scale, draw):
    return *_cross_entropy(rows, count, scale, draw), draw(rows)


CASES = {
    kernels.mean_squared_error: {
        name: partial(_squared_error, SHAPES[name]) for name in ("images", "rows", "one-number")
    },
    kernels.mean_squared_error_gradient: {
        name: partial(_squared_error_gradient, SHAPES[name])
        for name in ("images", "rows", "one-number")
    },
    kernels.cross_entropy: table(_cross_entropy, LOGITS),
    kernels.cross_entropy_gradient: table(_cross_entropy_gradient, LOGITS),
}
