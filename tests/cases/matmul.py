"""Cases of matrix products, around the sizes of their tiles."""

from backends import kernels
from tests.cases.draw import table

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


CASES = {
    kernels.matmul: table(_matmul, PRODUCTS),
    kernels.factor: {"rows": lambda draw: (draw(7, 5),), "empty": lambda draw: (draw(0, 3),)},
}
