"""Two levels of codes in NumPy.

After lesson 6. Algorithm 1 of the paper in small, with means and nearest codes in the place of
networks. A map x (H, W, D), H and W even, gets a coarse map of codes, the top, and a fine one, the
bottom. The bottom is told the top: it needs to say only what the top leaves to be said.
"""

import numpy as np  # noqa: F401  (you will need it)


def nearest(vectors, codebook):
    """Codes (...,), whole numbers, of vectors (..., D) in a codebook (K, D). Use it as it is."""
    return ((vectors[..., None, :] - codebook) ** 2).sum(axis=-1).argmin(axis=-1)


def coarse(x):
    """Task 1: the mean of every 2x2 block, (H, W, D) -> (H/2, W/2, D)."""
    raise NotImplementedError("task 1: coarse")


def encode(x, top_codebook, bottom_codebook):
    """Task 2: (top (H/2, W/2), bottom (H, W)), codes.

    The top holds the nearest codes of task 1's means. The bottom holds the nearest codes of what is
    left of x when the top's code vectors, each over its 2x2 places, are subtracted.
    """
    raise NotImplementedError("task 2: encode")


def decode(top, bottom, top_codebook, bottom_codebook):
    """Task 3: the map (H, W, D) that these codes stand for. `bottom` may be None: the top alone."""
    raise NotImplementedError("task 3: decode")
