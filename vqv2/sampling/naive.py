"""The reference sampler: a whole forward pass for every position."""

import numpy as np

from backends import array_module, to_device
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
        return self.window_logits(self.codes[:, 0, :0])[:, 0]

    def window_logits(self, forecast):
        """Logits (N, n + 1, K) of the next n + 1 positions, all in one row.

        Those after the first are right where the `forecast` (N, n) of the codes before them is.
        """
        row, column = divmod(self.position, self.prior.size)
        stop = column + forecast.shape[1]
        self.codes[:, row, column:stop] = forecast
        with no_grad():
            logits = self.prior(self.codes, self.label, self.coarser).array
        return logits[:, row, column : stop + 1]

    def append(self, codes):
        """Fix the codes of the next position (N,), or of the next ones (N, n), and go on."""
        row, column = divmod(self.position, self.prior.size)
        codes = array_module(self.codes).asarray(codes).reshape(len(self.codes), -1)
        self.codes[:, row, column : column + codes.shape[1]] = codes
        self.position += codes.shape[1]
