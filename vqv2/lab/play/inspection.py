"""What each level says of an image, what is wrong with it, and what surprises the priors."""

import math

import numpy as np

from backends import to_host
from vqv2.autodiff import no_grad
from vqv2.errors import InputError

MOST_CLASSES = 64  # are compared when none is given: that is one pass of the top prior for each


def by_level(hierarchy, codes):
    """{level subset: image (H, W, C)} of codes {level: (size, size)}, as `reconstruct` shows.

    Subsets with a missing code are left out.
    """
    whole = [s for s in hierarchy.level_subsets if all(codes[level].min() >= 0 for level in s)]
    maps = {level: array[None] for level, array in codes.items()}
    return {subset: hierarchy.decode(maps, subset)[0] for subset in whole}


def errors(image, original):
    """(absolute error of each pixel (H, W), mean of the channels; PSNR in dB) of one image."""
    difference = image.astype(np.float64) - original
    mse = float((difference**2).mean())
    return np.abs(difference).mean(axis=-1), (-10 * math.log10(mse) if mse > 0 else math.inf)


def surprise(hierarchy, codes, label=None):
    """(class name or None, {level: bits (size, size)}): -log2 p of each code given those before.

    With the coarser levels' codes given, for all levels that are whole, as the coarser ones are,
    and have a prior. Without a `label` the class is the one under which all of that takes the
    fewest bits. Raises `InputError` for an unknown class, and when there are too many to compare.
    """
    levels = _measurable(hierarchy, codes)
    if not hierarchy.class_names:
        return None, _bits(hierarchy, codes, levels, None)
    if label is not None:
        numbers = hierarchy.labels(label, 1, np.random.default_rng(0))
    elif len(hierarchy.learned) > MOST_CLASSES:
        raise InputError(
            f"{len(hierarchy.learned)} classes are too many to find the likeliest: choose one"
        )
    else:
        numbers = hierarchy.learned
    found = [(_bits(hierarchy, codes, levels, number), number) for number in numbers]
    bits, number = min(found, key=lambda pair: sum(map(np.sum, pair[0].values())))
    return hierarchy.class_names[number], bits


def _measurable(hierarchy, codes):
    """The levels whose codes a prior can judge."""
    names = hierarchy.levels
    gaps = [place for place, level in enumerate(names) if codes[level].min() < 0]
    return [level for level in names[: min(gaps, default=None)] if level in hierarchy.priors]


def _bits(hierarchy, codes, levels, number):
    maps = [codes[level][None] for level in hierarchy.levels]
    label = None if number is None else np.array([number])
    bits = {}
    for level in levels:
        place = hierarchy.levels.index(level)
        with no_grad():
            logits = hierarchy.priors[level](maps[place], label, maps[:place]).array
        bits[level] = _surprise_of(to_host(logits)[0].astype(np.float64), codes[level])
    return bits


def _surprise_of(logits, codes):
    """-log2 of the probability of codes (H, W) under logits (H, W, K)."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    return (np.log(np.exp(logits).sum(axis=-1)) - chosen) / math.log(2)
