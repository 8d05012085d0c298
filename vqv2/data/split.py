"""Which images are held out from training: a stable choice that needs no list to be kept."""

import difflib
import hashlib

import numpy as np

from vqv2.errors import InputError

SPLITS = ("train", "held_out", "all")
HELD_OUT_PART = 0.05


def check_split(split):
    """Raise `InputError` unless `split` is "train", "held_out" or "all"."""
    if split not in SPLITS:
        close = difflib.get_close_matches(str(split), SPLITS, n=1)
        meant = f" (did you mean '{close[0]}'?)" if close else ""
        raise InputError(f"the split '{split}' is not one of train, held_out, all{meant}")


def held_out(keys):
    """Which of the images named by `keys`, strings, are held out: bool (N,), about 5 % of them.

    The choice depends on a hash of each key, so an image stays on its side when others are added,
    on every machine, and images with equal keys are on the same side. With two different keys or
    more, at least one is held out and at least one is left for training.
    """
    marks = np.fromiter(map(_mark, keys), np.float64)
    return ((marks < HELD_OUT_PART) | (marks == marks.min())) & (marks < marks.max())


def split_indices(keys, split, name):
    """The places in `keys` that belong to `split`, int64 (M,); `name` is for the error message.

    `keys` may be an iterator, unless all are wanted.

    Raises `InputError` for a split that does not exist, and when there is nothing to hold out.
    """
    check_split(split)
    if split == "all":
        return np.arange(len(keys))
    chosen = np.flatnonzero(held_out(keys) == (split == "held_out"))
    if not len(chosen):
        raise InputError(f"{name} has a single image, so none can be held out: add images")
    return chosen


def spread_indices(count, limit):
    """At most `limit` of the indices 0 ... count - 1, evenly spread, int64.

    Images are often sorted by class: the first ones would be a biased sample.
    """
    return np.linspace(0, count - 1, min(count, limit)).astype(np.int64)


def _mark(key):
    """A number in [0, 1) that looks random and is always the same for the same key."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    # 53 bits are what a float holds: more would round some marks up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53
