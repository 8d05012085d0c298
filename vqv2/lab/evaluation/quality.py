"""What temperature, top-k and top-p do to a prior: sharper samples, fewer of the world's images.

They change the distribution that is sampled, so they change how likely real, held-out codes are
under it. A code that is never drawn any more has no likelihood at all; how many of the held-out
codes that concerns is counted apart.
"""

from typing import NamedTuple

import numpy as np

from backends import to_host
from backends.reference.sample import kept_logits
from vqv2.autodiff import no_grad
from vqv2.data.split import spread_indices
from vqv2.errors import InputError
from vqv2.lab.evaluation.neighbours import squared_distances
from vqv2.training.prior import read_codes

BLOCK_NUMBERS = 2**23  # logits in memory at a time: 32 MiB in float32


class Likelihood(NamedTuple):
    """How likely held-out codes are when a prior is sampled with some settings."""

    nats_per_code: float  # of the codes that can still be drawn
    never: float  # share of the codes that cannot, whose likelihood is zero


def held_out_likelihoods(prior, store, level, settings, split="held_out", limit=256):
    """[`Likelihood`] for each of the `vqv2.sampling.Settings`, on up to `limit` maps of a split.

    With temperature 1 and nothing cut off it is the prior's own. One forward pass serves all
    settings. Raises `InputError` for temperature 0, which draws no code but the likeliest.
    """
    if any(one.check().temperature == 0 for one in settings):
        raise InputError("temperature 0 gives codes no probability: compare temperatures above 0")
    chosen = spread_indices(store.counts[split], limit)
    batch = max(1, BLOCK_NUMBERS // (prior.size**2 * prior.codebook_size))
    nats, never = np.zeros(len(settings)), np.zeros(len(settings))
    for start in range(0, len(chosen), batch):
        indices = chosen[start : start + batch]
        codes, label, coarser = read_codes(store, split, level, indices, bool(prior.classes))
        with no_grad():
            logits = to_host(prior(codes, label, coarser).array)
        logits, targets = logits.reshape(-1, prior.codebook_size), codes.reshape(-1)
        for position, one in enumerate(settings):
            found = _nats(logits, targets, one)
            nats[position] += found[np.isfinite(found)].sum()
            never[position] += np.isinf(found).sum()
    total = len(chosen) * prior.size**2
    return [
        Likelihood(float(n / max(1, total - out)), float(out / total))
        for n, out in zip(nats, never, strict=True)
    ]


def _nats(logits, targets, settings):
    """-log of the targets' (M,) probabilities under logits (M, K), infinite for those cut off."""
    kept = kept_logits(logits, settings.temperature, settings.top_k, settings.top_p)
    kept = kept.astype(np.float64)
    largest = kept.max(axis=-1)
    log_sums = largest + np.log(np.exp(kept - largest[:, None]).sum(axis=-1))
    return log_sums - np.take_along_axis(kept, targets[:, None].astype(np.int64), axis=-1)[:, 0]


def mean_distance(features, labels=None):
    """Mean distance between two different of the features (N, D): how diverse they are.

    With labels (N,), between two of the same class. NaN when no class has two.
    """
    labels = np.zeros(len(features), int) if labels is None else np.asarray(labels)
    total, count = 0.0, 0
    for label in np.unique(labels):
        members = np.asarray(features)[labels == label]
        total += np.sqrt(squared_distances(members, members)).sum()
        count += len(members) * (len(members) - 1)
    return total / count if count else float("nan")
