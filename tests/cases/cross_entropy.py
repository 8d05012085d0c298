"""Cases of the cross-entropy."""

from backends import kernels
from tests.cases.draw import table

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


CASES = {
    kernels.cross_entropy: table(_cross_entropy, LOGITS),
    kernels.cross_entropy_gradient: table(_cross_entropy_gradient, LOGITS),
}
