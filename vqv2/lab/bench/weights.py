"""First weights in a moment, for models that are built only to be timed."""

import numpy as np


class QuickNormal:
    """Stands in for a generator where a model draws its weights: few numbers, repeated.

    A full-size prior draws 423 M normal numbers, which takes a quarter of a minute; that many
    copies of a million numbers take a second or two. Already cut at two deviations. Good for
    timing (no denormal numbers, no zeros); nothing to train from.
    """

    def __init__(self, seed=0):
        values = np.random.default_rng(seed).standard_normal(2**20, dtype=np.float32)
        self._values = values[np.abs(values) <= 2]

    def standard_normal(self, shape, dtype=np.float32):
        """Numbers of `shape`, the same ones from the start at every call."""
        return np.resize(self._values, shape).astype(dtype, copy=False)
