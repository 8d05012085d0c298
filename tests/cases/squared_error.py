"""Cases of the mean squared error."""

from functools import partial

from backends import squared_error
from tests.cases.elementwise import SHAPES


def _squared_error(shape, draw):
    return draw(*shape), draw(*shape)


def _squared_error_gradient(shape, draw):
    return draw(*shape), draw(*shape), draw()


CASES = {
    squared_error.mean_squared_error: {
        name: partial(_squared_error, SHAPES[name]) for name in ("images", "rows", "one-number")
    },
    squared_error.mean_squared_error_gradient: {
        name: partial(_squared_error_gradient, SHAPES[name])
        for name in ("images", "rows", "one-number")
    },
}
