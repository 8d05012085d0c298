"""What stands in for an image that turns out to be damaged inside, so that batches stay full."""

import itertools

import numpy as np

from vqv2.data.reasons import commonest
from vqv2.errors import InputError


def readable(index, source, damaged):
    """Image `index` of an `ImageSource`, or if it is `damaged` the one that stands in for it.

    `damaged` is {place of an image: (its path, reason)}. That is the next one in order, going
    round, of the same class if there is any. It depends on the images only, not on what has been
    read before. Raises `InputError` when all are damaged.
    """
    if index not in damaged:
        return index
    for other in _candidates(index, source):
        if other not in damaged:
            return other
    raise InputError(
        f"none of the {len(source)} images of {source.name} can be read any more: "
        f"{commonest(damaged.values())}"
    )


def _candidates(index, source):
    """Iterator over the places of the other images, those of the same class first."""
    others = (np.arange(1, len(source)) + index) % len(source)
    if source.labels is None:
        return iter(others.tolist())
    same = source.labels[others] == source.labels[index]
    return itertools.chain(others[same].tolist(), others[~same].tolist())
