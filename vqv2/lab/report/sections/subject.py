"""What all evaluations of a trained hierarchy read."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqv2.data.split import spread_indices
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation.features import encoder_features
from vqv2.run import Run

SPLITS = {"train": "training", "held_out": "held out"}  # and what to call them in tables


@dataclasses.dataclass(frozen=True)
class Options:
    """How much to look at, and how to sample."""

    images: int = 1024  # of each split, for figures
    shown: int = 12  # images in a picture of reconstructions
    per_class: int = 8  # samples of a class in a picture
    classes: int = 12  # that are shown; of more, some are chosen
    samples: int = 256  # for figures
    swept: int = 96  # samples for each of the settings that are compared
    temperature: float | dict = 1.0  # of those: a number, or {level: number}
    top_k: int | dict = 0
    top_p: float | dict = 1.0
    temperatures: tuple = (0.8, 0.9, 1.0)  # of the pictures of samples
    neighbours: int = 6  # shown for each sample
    networks: tuple = ()  # feature networks; empty for the hierarchy's own encoder
    repetitions: int = 5  # of a timing
    seed: int = 0
    progress: bool = True


@dataclasses.dataclass(frozen=True)
class Subject:
    """A hierarchy with the images to judge it by.

    sources  {"train": ImageSource, "held_out": ImageSource}
    store    their codes: a `CodeStore`, or `EncodedImages`
    folder   where pictures go
    """

    run: Run
    hierarchy: Hierarchy
    sources: dict
    store: object
    folder: Path
    options: Options = Options()

    @property
    def networks(self):
        """The feature networks by which images are compared, at least one."""
        return self.options.networks or (encoder_features(self.hierarchy.autoencoder),)

    @functools.cached_property
    def samples(self):
        """The `Samples` that figures are computed from."""
        options = self.options
        return self.draw(options.samples, options.temperature, options.top_k, options.top_p)

    def draw(self, count, temperature=1.0, top_k=0, top_p=1.0):
        """`Samples`, of each class as many as in training; always with the same noise."""
        labels, names = self._training_labels(count), self.hierarchy.class_names
        codes = self.hierarchy.sample_codes(
            count,
            None if labels is None else [names[number] for number in labels],
            self.options.seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            progress=self.options.progress,
        )
        return Samples(self.hierarchy.decode(codes), codes, labels)

    def _training_labels(self, count):
        """Classes as often as training has them, or None without classes."""
        if not self.hierarchy.class_names:
            return None
        labels = np.random.default_rng(self.options.seed).permutation(self.sources["train"].labels)
        return np.resize(labels, count)

    def chosen(self, split, count):
        """Up to `count` places spread over a source."""
        return spread_indices(len(self.sources[split]), count)

    def shown_classes(self):
        """Names of the classes that pictures show: all that were learned, or some of them."""
        names, learned = self.hierarchy.class_names, self.hierarchy.learned
        return [names[i] for i in learned[spread_indices(len(learned), self.options.classes)]]

    def describe_sampling(self):
        """How samples are drawn, in words."""
        options = self.options
        words = [f"temperature {in_words(options.temperature)}"]
        words += [f"top-k {in_words(options.top_k)}"] if options.top_k else []
        words += [f"top-p {in_words(options.top_p)}"] if options.top_p != 1 else []
        return ", ".join(words)


class Samples(NamedTuple):
    """Generated images, and the classes that were asked for."""

    images: np.ndarray  # (N, H, W, C), float32 in [0, 1]
    codes: dict  # {level: (N, size, size)}
    labels: np.ndarray | None  # (N,) int64


def in_words(value):
    """A setting, one value or {level: value}: "0.9", or "0.9 (top) and 0.7 (bottom)"."""
    if isinstance(value, dict):
        return " and ".join(f"{one:g} ({level})" for level, one in value.items())
    return f"{value:g}"
