"""Cases of drawing codes from logits."""

import numpy as np

from backends import kernels
from tests.cases.draw import table

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


def seeds(draw, rows):
    """Of the noise of maps."""
    return draw.rng.integers(0, 2**64, rows, np.uint64)


def _sample_codes(rows, count, temperature, top_k, top_p, draw):
    return draw(rows, count), draw.place(seeds(draw, rows)), 7, temperature, top_k, top_p


CASES = {
    kernels.sample_codes: table(_sample_codes, SAMPLINGS),
}
