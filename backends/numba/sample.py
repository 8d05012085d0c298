"""Drawing codes on the processor: noise and the largest sum in one pass.

Which codes are kept is the reference's to say.
"""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, part, prange
from backends.numba.engine.hashing import hashed
from backends.reference.sample import kept_logits


@kernels.sample_codes.version("numba")
def sample_codes(logits, seeds, position, temperature, top_k, top_p):
    if temperature == 0:
        return logits.argmax(axis=-1)
    kept = np.ascontiguousarray(kept_logits(logits, temperature, top_k, top_p))
    codes = np.empty(len(logits), np.int64)
    _draw_loop(kept, np.ascontiguousarray(seeds), position, codes)
    return codes


@compiled
def _draw_loop(kept, seeds, position, codes):
    rows, count = kept.shape
    for n in prange(rows):
        best, code = kept[n, 0], 0
        for k in range(count):
            index = np.uint64(position * count + k)
            value = kept[n, k] + kept.dtype.type(_gumbel(seeds[n], index))
            if k == 0 or _comes_before(value, best):
                best, code = value, k
        codes[n] = code


@part
def _comes_before(a, b):
    """Whether a, which comes later, is taken instead of b, as by argmax: NaN is the largest."""
    return a > b or (a != a and b == b)


@part
def _gumbel(seed, index):
    u = (np.float64(hashed(seed, index) >> np.uint64(12)) + 0.5) * 2.0**-52
    return -math.log(-math.log(u))
