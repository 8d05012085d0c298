"""Cases of the mean squared error."""

from functools import partial

from backends import kernels
from tests.cases.elementwise import SHAPES


def _squared_error(shape, draw):
    return draw(*shape), draw(*shape)


def _squared_error_gradient(shape, draw):
    return draw(*shape), draw(*shape), draw()


CASES = {
    kernels.mean_squared_error: {
        name: partial(_squared_error, SHAPES[name]) for name in ("images", "rows", "one-number")
    },
    kernels.mean_squared_error_gradient: {
        name: partial(_squared_error_gradient, SHAPES[name])
        for name in ("images", "rows", "one-number")
    },
}
