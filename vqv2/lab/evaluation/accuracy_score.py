"""Classification accuracy score (Ravuri and Vinyals, 2019): train on samples, test on real images.

A classifier that has seen nothing but generated images is right about real ones only as far as
these show every class as it is, in all its variety. Precision and diversity both count, and no
feature network has a say.
"""

from typing import NamedTuple

import numpy as np

from vqv2.errors import InputError
from vqv2.lab.evaluation.bootstrap import Estimate, share

BATCH = 256


class ClassificationAccuracy(NamedTuple):
    """How often a classifier is right about real images."""

    accuracy: Estimate  # over all images
    by_class: np.ndarray  # (classes,) float64, NaN for a class without an image


def classification_accuracy_score(train, images, real, rng, indices=None):
    """The `ClassificationAccuracy`, on real images, of a classifier trained on others.

    train    function: an `ImageSource` with labels -> function: images (N, H, W, C) in [0, 1] ->
             class numbers (N,), or scores (N, classes) of which the largest counts
    images   the `ImageSource` to train on: samples (`vqv2.data.array.ArrayImages` makes one of an
             array and labels), or for comparison real images or reconstructions
    real     the `ImageSource` with labels to test on, none of whose images was trained on
    rng      a generator for the bootstrapped interval
    indices  which of the real images to test on, default all; read a batch at a time

    Raises `InputError` when one of the sources has no labels.
    """
    for source in (images, real):
        if source.labels is None:
            raise InputError(f"{source.name} has no classes: a classifier needs them")
    classify = train(images)
    chosen = np.arange(len(real)) if indices is None else np.asarray(indices)
    right = np.concatenate(
        [
            _classes(classify(real.batch(part))) == real.labels[part]
            for part in np.split(chosen, range(BATCH, len(chosen), BATCH))
        ]
    )
    labels = real.labels[chosen]
    by_class = [
        right[labels == c].mean() if (labels == c).any() else np.nan
        for c in range(len(real.class_names))
    ]
    return ClassificationAccuracy(share(right, rng), np.array(by_class))


def _classes(answers):
    answers = np.asarray(answers)
    return answers.argmax(axis=-1) if answers.ndim == 2 else answers
