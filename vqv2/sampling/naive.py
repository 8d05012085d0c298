"""The reference sampler: a whole forward pass for every position."""

import numpy as np

from backends import to_device
from vqv2.autodiff import no_grad


class NaivePrior:
    """Next-code logits of a prior in the plainest way; same interface as `IncrementalPrior`."""

    def __init__(self, prior, count, label=None, coarser=()):
        self.prior = prior
        self.label = label
        self.coarser = coarser
        self.codes = to_device(np.zeros((count, prior.size, prior.size), np.int64))
        self.position = 0

    def logits(self):
        """Logits (N, K) of the next position in raster order."""
        with no_grad():
            logits = self.prior(self.codes, self.label, self.coarser).array
        return logits[:, *divmod(self.position, self.prior.size)]

    def append(self, codes):
        """Fix the codes (N,) of the next position, and go on."""
        self.codes[:, *divmod(self.position, self.prior.size)] = to_device(codes)
        self.position += 1
