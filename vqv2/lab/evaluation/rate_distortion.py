"""Rate and distortion of a hierarchy (sections B.1 and E, Figure 8)."""

import math
from typing import NamedTuple

import numpy as np

from vqv2.data.split import spread_indices
from vqv2.training.prior import evaluate_prior


class Distortion(NamedTuple):
    """Distance between images and their reconstructions."""

    mse: float  # mean squared error over pixels and channels in [0, 1]
    psnr: float  # peak signal-to-noise ratio of that mean, dB: -10 log10(mse)


class Rate(NamedTuple):
    """What a prior needs to tell one level's codes of an image."""

    nats_per_code: float
    codes: int  # of one image
    numbers: int  # of one image: H * W * C, its dimensions

    @property
    def bits_per_code(self):
        """Nats over log 2."""
        return self.nats_per_code / math.log(2)

    @property
    def bits_per_image(self):
        """Bits of all codes of this level."""
        return self.bits_per_code * self.codes

    @property
    def bits_per_dim(self):
        """Bits per number of the image. Of a lossy code: not the likelihood of pixels."""
        return self.bits_per_image / self.numbers


def rates(hierarchy, store, split, limit=1024):
    """{level: `Rate`} of the trained priors on up to `limit` maps spread over a split of a store.

    With the coarser levels' real codes given, so the rates of an image's levels add up.
    """
    config = hierarchy.autoencoder.config
    numbers = config.image_size**2 * config.channels
    return {
        level: Rate(evaluate_prior(prior, store, level, split, limit), prior.size**2, numbers)
        for level, prior in hierarchy.priors.items()
    }


def distortion(hierarchy, source, count=512, batch=32):
    """{level subset: `Distortion`} on up to `count` images spread over a source, unaugmented."""
    subsets = hierarchy.level_subsets
    totals, chosen = dict.fromkeys(subsets, 0.0), spread_indices(len(source), count)
    for start in range(0, len(chosen), batch):
        images = source.batch(chosen[start : start + batch])
        codes = hierarchy.encode(images)
        for subset in subsets:
            error = hierarchy.decode(codes, subset).astype(np.float64) - images
            totals[subset] += (error**2).mean() * len(images)
    return {subset: _distortion(total / len(chosen)) for subset, total in totals.items()}


def _distortion(mse):
    return Distortion(float(mse), -10 * math.log10(mse) if mse > 0 else math.inf)


def unigram_nats(train, held_out, size):
    """Nats per code of `held_out` when only each code's frequency in `train` is known.

    The baseline that a prior must beat: it knows no position and no neighbour. One is added to
    every count, so that a code that training never used costs much but not infinitely much.
    """
    counts = np.bincount(np.asarray(train).reshape(-1), minlength=size) + 1.0
    nats = -np.log(counts / counts.sum())
    return float(nats[np.asarray(held_out).reshape(-1)].mean())
