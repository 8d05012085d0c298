"""What rounding a hierarchy's weights changes (`vqv2.run.compact`), on the same images."""

from typing import NamedTuple

import numpy as np

from vqv2.lab.evaluation.encoded import EncodedImages
from vqv2.lab.evaluation.rate_distortion import distortion, rates

TOLERATED = {"dB": 0.1, "nats": 0.02}  # here: ten times what was seen, or more


class Rounding(NamedTuple):
    """Figures of a hierarchy and of the rounded one."""

    psnr: dict  # {level subset: (before, after)}, dB
    nats: dict  # {level: (before, after)} per code, each prior on the codes of its autoencoder
    moved: dict  # {level: share of the codes that are others}

    def holds(self):
        """Whether the figures of both are alike, as far as `TOLERATED` says."""
        lost = [first - second for first, second in self.psnr.values()]
        risen = [second - first for first, second in self.nats.values()]
        return max(lost) <= TOLERATED["dB"] and max(risen, default=0) <= TOLERATED["nats"]


def measure_rounding(before, after, images, limit=512, progress=lambda count: None):
    """The `Rounding` on up to `limit` of the images, an `ImageSource`, that were held out."""
    sources = {"held_out": images}
    stores = [EncodedImages(one, sources, limit, progress) for one in (before, after)]
    psnr, nats, moved = {}, {}, {}
    distortions = [distortion(one, images, limit) for one in (before, after)]
    for subset in before.level_subsets:
        psnr[subset] = tuple(found[subset].psnr for found in distortions)
    found = [
        rates(one, store, "held_out", limit)
        for one, store in zip((before, after), stores, strict=True)
    ]
    for level in before.priors:
        nats[level] = tuple(rate[level].nats_per_code for rate in found)
    for level in before.levels:
        first, second = (store.codes("held_out", level) for store in stores)
        moved[level] = float(np.mean(first != second))
    return Rounding(psnr, nats, moved)
