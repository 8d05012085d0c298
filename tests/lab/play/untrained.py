"""Hierarchies of every shape, with weights at random."""

import dataclasses

import numpy as np

from backends import to_device
from tests.small import AUTOENCODER, CONFIG
from vqv2.hierarchy import Hierarchy
from vqv2.models.autoencoder import Autoencoder
from vqv2.run import build_prior


def hierarchy(latent_sizes=(4, 8), channels=3, classes=("a", "b", "c"), priors=None, **fields):
    """A `Hierarchy`; `priors` names the levels that have one, default all."""
    fields = {"latent_sizes": latent_sizes, "channels": channels, **fields}
    autoencoder = dataclasses.replace(AUTOENCODER, **fields)
    config = CONFIG.with_autoencoder(autoencoder)
    config = dataclasses.replace(config, conditional=bool(classes))
    rng = np.random.default_rng(0)
    model = Autoencoder(config.autoencoder, rng)
    for quantizer in model.quantizers:
        quantizer.vectors[...] = to_device(rng.normal(size=quantizer.vectors.shape))
    levels = config.levels if priors is None else priors
    made = {level: build_prior(config, level, len(classes), seed=1) for level in levels}
    for prior in made.values():
        logits = prior.output.logits.weight.array
        logits[...] = to_device(rng.normal(size=logits.shape))
    return Hierarchy(config, classes, model, made)
