"""Classifier rejection sampling: keep what a classifier is most confident about (Figure 10).

Many samples of a class are drawn and ranked by p(class | image). The fewer of the best are kept,
the more often they show what was asked for, and the less they differ from one another.
"""

from typing import NamedTuple

import numpy as np

from vqv2.errors import InputError
from vqv2.lab.evaluation.features import fitted

PERCENTAGES = (1, 10, 30, 50, 75, 100)  # Figure 10
_AT_ONCE = 256  # images that are floats at a time


class Kept(NamedTuple):
    """What the best samples of a class are like; shares are from 0 to 1."""

    percentage: float  # of all samples, the most confident ones
    count: int
    confidence: float  # mean p(class | image) of the classifier that ranked them
    accuracy: float  # how often the class is the likeliest one to that classifier
    judged: float  # the same to a second classifier, which had no part in the choice; or NaN
    diversity: float  # distance between two of them, relative to that between real images


def class_probabilities(classifier, images, batch=_AT_ONCE):
    """p(class | image), float64 (N, classes), of images (N, H, W, C), uint8 or floats in [0, 1].

    They are resized and made grey or coloured where the classifier wants it.
    """
    size, channels = classifier.config.image_size, classifier.config.channels
    parts = [
        classifier.probabilities(fitted(_floats(images[i : i + batch]), size, channels))
        for i in range(0, len(images), batch)
    ]
    return np.concatenate(parts)


def ranking(confidences):
    """Places (N,) of samples, the most confident first; of equal ones the first drawn."""
    return np.argsort(-np.asarray(confidences), kind="stable")


def best(order, percentage):
    """The first `percentage` of a ranking, at least one of it."""
    return order[: max(1, round(len(order) * percentage / 100))]


def spread(images):
    """Root mean squared Euclidean distance, in pixels, between two different ones of N images.

    That is the root of twice the trace of their covariance, so it takes no N x N distances, and
    few images and many can be compared. NaN for a single image.
    """
    if len(images) < 2:
        return np.nan
    parts = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
    mean = sum(_floats(part).sum(axis=0, dtype=np.float64) for part in parts) / len(images)
    squared = sum(((_floats(part) - mean) ** 2).sum() for part in parts)
    return float(np.sqrt(2 * squared / (len(images) - 1)))


def trade_off(images, label, probabilities, judged, scale, percentages=PERCENTAGES):
    """[`Kept` for each of the percentages] of samples (N, H, W, C) of class number `label`.

    probabilities  (N, classes) of the classifier that ranks
    judged         (N, classes) of another one, or None
    scale          the `spread` of real images of the class: a diversity of 1
    """
    order = ranking(probabilities[:, label])
    rows = []
    for percentage in percentages:
        kept = best(order, percentage)
        rows.append(
            Kept(
                percentage,
                len(kept),
                float(probabilities[kept, label].mean()),
                _accuracy(probabilities[kept], label),
                np.nan if judged is None else _accuracy(judged[kept], label),
                spread(images[kept]) / scale if scale else np.nan,
            )
        )
    return rows


def mean_over_classes(tables):
    """The `Kept` rows of several classes as one table; the count is that of all together."""
    means = []
    for rows in zip(*tables, strict=True):
        shares = np.mean([row[2:] for row in rows], axis=0).tolist()
        means.append(Kept(rows[0].percentage, sum(row.count for row in rows), *shares))
    return means


def shown(order, percentage, count, rng):
    """Places of at most `count` samples, drawn uniformly from the best, as Figure 10 shows them."""
    kept = best(order, percentage)
    return rng.choice(kept, size=min(count, len(kept)), replace=False)


def check_classes(own, names, subject):
    """Raise `InputError` unless a classifier's class names are `names`, those of `subject`.

    Data that only numbers its classes ("0", "1", ...) fits any that has as many.
    """
    numbers = tuple(map(str, range(len(own))))
    if own != names and (len(names) != len(own) or numbers not in (own, names)):
        raise InputError(
            f"the classifier knows the classes {_listed(own)}, but {subject} has {_listed(names)}"
        )


def _accuracy(probabilities, label):
    return float((probabilities.argmax(axis=1) == label).mean())


def _floats(images):
    images = np.asarray(images)
    return images / np.float32(255) if images.dtype == np.uint8 else images


def _listed(names, limit=20):
    more = ", ..." if len(names) > limit else ""
    return ", ".join(names[:limit]) + more if names else "none"
