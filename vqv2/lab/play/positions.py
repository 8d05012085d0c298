"""A level's map drawn one position at a time: all that the page knows of `vqv2.sampling`."""

import numpy as np

from backends import kernels, to_device, to_host
from backends.reference.sample import kept_logits
from vqv2.sampling import IncrementalPrior, noise_seeds


class MapInTheMaking:
    """One map of codes in raster order, with the noise that `vqv2.sampling.sample_codes` uses.

    prior    the `Prior` of the level
    rng      generator of the noise's seed
    label    class number (1,) or None
    coarser  codes (1, s, s) of each coarser level, coarse to fine
    given    codes to keep (size, size), -1 where to draw

    With the same settings throughout, the codes are those of `sample_codes`.
    """

    def __init__(self, prior, rng, label, coarser, given):
        self.prior = prior
        self.seeds = to_device(noise_seeds(rng, prior, 1))
        self.codes = given.copy()
        self.stepper = IncrementalPrior(prior, 1, label, coarser)
        self.position = 0
        self._logits = None

    @property
    def finished(self):
        """Whether all positions have been passed."""
        return self.position == self.prior.size**2

    @property
    def place(self):
        """(row, column) of the next position."""
        return divmod(self.position, self.prior.size)

    @property
    def kept(self):
        """The code that is to be kept at the next position; -1 if one is to be drawn."""
        return int(self.codes[self.place])

    def logits(self):
        """Logits (1, K) of the next position, computed once."""
        if self._logits is None:
            self._logits = self.stepper.logits()
        return self._logits

    def probabilities(self, settings):
        """What `settings` make of the next position's logits (K,), float64, with a sum of 1."""
        logits = to_host(self.logits()).astype(np.float64)
        if settings.temperature == 0:
            return np.eye(logits.shape[1])[logits[0].argmax()]
        kept = kept_logits(logits, settings.temperature, settings.top_k, settings.top_p)[0]
        weights = np.exp(kept - kept.max())
        return weights / weights.sum()

    def go_on(self, settings):
        """Fix the code of the next position, drawn with `settings` or kept; returns the code."""
        logits, code = self.logits(), self.kept
        if code < 0:
            how = (settings.temperature, settings.top_k, settings.top_p)
            code = int(kernels.sample_codes(logits, self.seeds, self.position, *how)[0])
        self.stepper.append(to_device(np.array([code])))
        self.codes[self.place] = code
        self.position, self._logits = self.position + 1, None
        return code
