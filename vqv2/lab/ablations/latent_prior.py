"""The prior of continuous latent vectors (section B.1, Table 5)."""

import numpy as np

import vqv2.functional as F
from backends import to_device
from backends.reference.logistic_mixture import bin_centres, parameter_count
from vqv2 import nn
from vqv2.errors import InputError
from vqv2.models.prior import Prior


class LatentPrior(Prior):
    """p(latent vectors), one vector after the other in raster order: "the same prior architecture".

    Two things differ from the prior of codes. The input is a vector of D numbers, each one of
    `bins` bins, so the embedding is a 1x1 convolution. The output is a discretised mixture of
    `components` logistics over the whole vector, with causal linear dependencies between its
    dimensions (`backends/reference/logistic_mixture.py`), in place of logits over a codebook.

    config  a `PriorConfig`; size  rows and columns of the map; dimensions  D
    """

    def __init__(self, config, dimensions, size, rng, components=10, bins=256):
        self.dimensions = dimensions
        self.components = components
        self.bins = bins
        super().__init__(config, parameter_count(dimensions, components), size, rng)
        self.embedding = nn.Linear(dimensions, config.hidden_units, rng)

    def forward(self, latents, rng=None):
        """Mixture parameters (N, H, W, P) of latents (N, H, W, D), integers below `bins`.

        Every position given all the earlier ones. With `rng` it trains. Raises `InputError`.
        """
        return self._parameters(self._check(latents), rng)

    def loss(self, latents, rng=None):
        """Mean nats per vector, a tensor; times H * W / log 2 it is in bits per image."""
        latents = self._check(latents)
        parameters = self._parameters(latents, rng)
        return F.mean(
            F.discretized_logistic_mixture(
                parameters, latents, components=self.components, bins=self.bins
            )
        )

    def _parameters(self, latents, rng):
        values = bin_centres(latents, self.bins, self.embedding.weight.dtype)
        return self._logits(values, None, (), rng)

    def _check(self, latents):
        shape = (self.size, self.size, self.dimensions)
        if latents.ndim != 4 or latents.shape[1:] != shape:
            raise InputError(f"latents have shape {latents.shape}, expected (N, *{shape})")
        if latents.size and (int(latents.max()) >= self.bins or int(latents.min()) < 0):
            raise InputError(f"latents must be bins from 0 to {self.bins - 1}")
        return to_device(latents, np.int64)
