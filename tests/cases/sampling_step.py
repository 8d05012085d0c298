"""Cases of what sampling a position takes, the weights in each storage."""

from functools import partial

from backends import kernels
from backends.reference.packing import STORAGES
from tests.cases.draw import table
from tests.cases.matmul import PRODUCTS


def _affine(rows, length, columns, storage, activated, draw):
    w = kernels.prepare_weights(draw(length, columns), storage)
    return draw(rows, length), w, draw(rows, columns), activated


def _affine_gate(rows, length, channels, storage, draw):
    w = kernels.prepare_weights(draw(length, 2 * channels), storage, halves=2)
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


def step_cases(builder, *more):
    """Every product in both storages."""
    return {
        f"{name}-{storage}": partial(builder, *row, storage, *more)
        for name, row in PRODUCTS.items()
        for storage in STORAGES
    }


CASES = {
    kernels.affine: {
        **step_cases(_affine, False),
        "activated": partial(_affine, 9, 70, 65, "float32", True),
    },
    kernels.affine_gate: step_cases(_affine_gate),
    kernels.attend: table(_attend, READINGS),
}
