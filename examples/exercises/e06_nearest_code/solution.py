"""One answer to e06: blocks of vectors, one matrix product each."""

import numpy as np

BLOCK = 512


def nearest_code(vectors, codebook):
    """argmin of ||e||^2 - 2 h.e, a block at a time."""
    codes = np.empty(len(vectors), np.int64)
    half_norms = (codebook**2).sum(axis=1) / 2
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        codes[block] = (half_norms - vectors[block] @ codebook.T).argmin(axis=1)
    return codes
