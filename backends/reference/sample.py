"""Drawing codes from logits, with noise that is computed where it is used."""

import numpy as np

from backends.arrays import array_module
from backends.reference.hashing import hashed


def sample_codes(logits, seeds, position, temperature, top_k, top_p):
    """One code per row: argmax of logits / temperature + noise over the codes that are kept.

    logits (M, K) of a position in M maps, and `seeds` (M,), uint64, of their noise; -> (M,) int64.
    With Gumbel noise this is an exact draw from softmax(logits / temperature) (the Gumbel-max
    trick). Temperature 0 takes the likeliest code. `top_k` keeps the k likeliest codes (0: all);
    `top_p` then keeps the smallest set of likeliest codes whose probability, at this temperature,
    reaches p (1: all), and always the likeliest. Codes tied with the last one kept are kept too.
    """
    if temperature == 0:
        return logits.argmax(axis=-1)
    kept = kept_logits(logits, temperature, top_k, top_p)
    return (kept + gumbel_noise(seeds, position, logits.shape[-1], logits.dtype)).argmax(axis=-1)


def gumbel_noise(seeds, position, codes, dtype):
    """Gumbel noise (M, codes) of a position in maps with `seeds` (M,): -log(-log u).

    u in ]0, 1[, of 52 bits, is a hash of the seed and of position * codes + code. The logarithms
    are float64, so that all backends round to the same numbers of `dtype`.
    """
    xp = array_module(seeds)
    index = xp.arange(position * codes, (position + 1) * codes, dtype=np.uint64)
    u = ((hashed(seeds[:, None], index) >> np.uint64(12)) + 0.5) * 2.0**-52
    return -xp.log(-xp.log(u)).astype(dtype)


def kept_logits(logits, temperature, top_k, top_p):
    """Logits (M, K) / temperature, with -inf for the codes that `sample_codes` does not keep."""
    xp = array_module(logits)
    scaled = logits / logits.dtype.type(temperature)
    if 0 < top_k < logits.shape[-1]:
        threshold = -xp.partition(-scaled, top_k - 1, axis=-1)[:, top_k - 1 : top_k]
        scaled = xp.where(scaled >= threshold, scaled, -np.inf)
    if top_p < 1:
        ordered = -xp.sort(-scaled, axis=-1)
        weights = xp.exp(ordered - ordered[:, :1])
        before = xp.cumsum(weights, axis=-1) - weights  # total weight of the likelier codes
        kept = (before < top_p * weights.sum(axis=-1, keepdims=True)).sum(axis=-1)
        threshold = xp.take_along_axis(ordered, xp.maximum(kept, 1)[:, None] - 1, axis=-1)
        scaled = xp.where(scaled >= threshold, scaled, -np.inf)
    return scaled
