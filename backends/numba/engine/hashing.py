"""Random numbers as in `backends.reference.hashing`, for compiled loops."""

import numpy as np

from backends.numba.engine.compiled import part
from backends.reference.hashing import STEP

_STEP = np.uint64(STEP)


@part
def hashed(seed, index):
    """64 bits, of uint64 numbers."""
    z = seed + (index + np.uint64(1)) * _STEP
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
