"""Files that cannot be used: for which kinds of reasons, and what stands in for them in a batch."""

import collections
import itertools
import re

import numpy as np

from vqv2.errors import InputError

_SHOWN = 3  # kinds in a sentence
_DETAILS = re.compile(r" *[:(]")  # numbers, and the decoder's words, come after these


def by_kind(skipped):
    """{kind of reason: [(path, reason)]} of such a list, the commonest kind first."""
    kinds = collections.defaultdict(list)
    for path, reason in skipped:
        kinds[_DETAILS.split(reason, maxsplit=1)[0]].append((path, reason))
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))


def commonest(skipped):
    """[(path, reason)] in a clause: the commonest kinds of reasons, each by its first file."""
    said = []
    for (path, reason), *others in list(by_kind(skipped).values())[:_SHOWN]:
        said.append(f"{path}: {reason}" + (f" ({len(others)} more like it)" if others else ""))
    return "; ".join(said)


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
