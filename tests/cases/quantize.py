"""Cases of vector quantisation."""

from functools import partial

from backends import kernels
from tests.cases.draw import table

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


CASES = {
    kernels.nearest_code: {
        **table(_nearest_code, QUANTIZATIONS, -4, 5),
        "far-from-zero": partial(_nearest_code, 70, 20, 6, 2**22, 2**22 + 9),
    },
    kernels.codebook_statistics: table(_codebook_statistics, QUANTIZATIONS),
}
