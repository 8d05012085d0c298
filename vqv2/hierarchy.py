"""A trained hierarchy as one object: images to codes, codes to images, and new images.

hierarchy = vqv2.Hierarchy.load("runs/emoji")
codes = hierarchy.encode(images)                    # {"top": (N, 8, 8), "bottom": (N, 16, 16)}
hierarchy.decode(codes, levels=["top"])             # what the top level alone says
hierarchy.sample(16, label="faces", temperature=0.9, seed=1)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.random import Generator

from backends import Array
from backends.process.communication import Communicator, Single
from vqv2.agreement import check_agreement, fingerprint
from vqv2.config import Config, check_levels
from vqv2.errors import InputError
from vqv2.models.autoencoder import Autoencoder, Codes
from vqv2.models.prior import Prior
from vqv2.run import Run
from vqv2.sampling import (
    Settings,
    batch_size,
    check_given,
    class_numbers,
    draw_in_turns,
    level_generator,
    sample_codes,
)

Label: TypeAlias = str | int | Sequence[str | int] | np.ndarray | None


class Hierarchy:
    """An autoencoder and its priors, with averaged weights, for use rather than training.

    config       the `Config` they were built from
    levels       names, coarse to fine
    class_names  names of the classes, empty for an unconditional hierarchy
    learned      (C,) numbers of the classes that training had images of, ascending
    autoencoder  the `Autoencoder`
    priors       {level: Prior} of the levels that have been trained
    identity     what tells this autoencoder from another
    prior_identities  {level: what tells its prior from another}, of those that were loaded
    """

    def __init__(
        self,
        config: Config,
        class_names: Sequence[str],
        autoencoder: Autoencoder,
        priors: dict[str, Prior],
        identity: str = "",
        learned: np.ndarray | None = None,
        prior_identities: dict[str, str] | None = None,
    ) -> None:
        self.config = config
        self.levels = config.levels
        self.class_names = tuple(class_names) if config.conditional else ()
        self.learned = np.arange(len(self.class_names)) if learned is None else learned
        self.autoencoder = autoencoder
        self.priors = priors
        self.identity = identity
        self.prior_identities = prior_identities or {}

    @classmethod
    def load(cls, folder: str | PathLike[str], priors: bool = True, best: bool = False) -> Self:
        """The hierarchy in a run folder, with those priors that are there (none: `priors=False`).

        `folder` may be the name of one that comes with vqv2 (`vqv2.run.pretrained`). Priors are as
        their training left them, or, with `best`, as they were when their held-out loss was lowest.
        Raises `InputError` when the folder is no run, when a file in it is damaged, or when a prior
        learned the codes of another autoencoder.
        """
        run = Run.open(folder)
        autoencoder, identity = run.load_autoencoder()
        run.config = run.config.with_autoencoder(autoencoder.config)
        trained = [
            level
            for level in run.config.levels
            if priors and run.checkpoint_path(f"prior-{level}").exists()
        ]
        loaded = {level: run.load_prior(level, identity, best) for level in trained}
        identities = {level: run.prior_identity(level, best) for level in trained}
        learned = run.learned_classes(trained[0], best) if trained else None
        return cls(run.config, run.class_names, autoencoder, loaded, identity, learned, identities)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        config = self.autoencoder.config
        return config.image_size, config.image_size, config.channels

    @property
    def level_subsets(self) -> list[tuple[str, ...]]:
        """Figure 8's columns: the coarsest level, the two coarsest, ..., all. [("top",), ...]"""
        return [tuple(self.levels[: i + 1]) for i in range(len(self.levels))]

    def encode(self, images: Array, batch: int | None = None) -> Codes:
        """Images (N, H, W, C) in [0, 1] -> {level: codes (N, size, size) uint16}.

        `batch` images at once, by default those of `AutoencoderConfig.images_at_once`. Raises
        `InputError` for another shape or dtype, for pixels outside [0, 1] or NaN, and where the
        encoder makes NaN of them.
        """
        batch = self._at_once(batch)
        images = self._check_images(images)
        codes = {
            level: np.empty((len(images), size, size), np.uint16)
            for level, size in self._sizes(self.levels).items()
        }
        for start in range(0, len(images), batch):
            places = slice(start, start + batch)
            part = self.autoencoder.encode(images[places].astype(np.float32, copy=False))
            for level, maps in codes.items():
                maps[places] = part[level]
        return codes

    def decode(
        self, codes: Codes, levels: Sequence[str] | None = None, batch: int | None = None
    ) -> np.ndarray:
        """{level: codes (N, size, size)} -> images (N, H, W, C), float32 in [0, 1].

        `levels` names the levels to use, default all; what the others would say is replaced by
        their average (Figure 8). `batch` as for `encode`. Raises `InputError` for codes or levels
        that do not fit.
        """
        batch = self._at_once(batch)
        count = self._count_of(codes)
        parts = (
            self.autoencoder.decode({k: c[start : start + batch] for k, c in codes.items()}, levels)
            for start in range(0, count, batch)
        )
        return self._images(parts, count)

    def sample(
        self,
        count: int,
        label: Label | None = None,
        seed: int = 0,
        batch: int | None = 32,
        first: int = 0,
        **how: Any,
    ) -> np.ndarray:
        """New images (count - first, H, W, C), float32 in [0, 1] (Algorithm 2, lines 10-14).

        The arguments are those of `sample_code_batches`: temperature, top_k, top_p, levels, given,
        progress, method, storage, communicator.
        """
        parts = self.sample_batches(count, label, seed, batch, first=first, **how)
        return self._images(parts, count - first)

    def sample_batches(
        self,
        count: int,
        label: Label | None = None,
        seed: int = 0,
        batch: int | None = 32,
        levels: Sequence[str] | None = None,
        **how: Any,
    ) -> Iterator[np.ndarray]:
        """The images of `sample` a batch at a time: yields (n, H, W, C), in order.

        For more of them than the memory holds. n is at most `batch`, times the processes that share
        the work. Arguments are checked when it is called.
        """
        drawn = self.sample_code_batches(count, label, seed, batch, levels=levels, **how)
        return (self.decode(codes, levels) for _, codes in drawn)

    def sample_codes(
        self,
        count: int,
        label: Label | None = None,
        seed: int = 0,
        batch: int | None = 32,
        first: int = 0,
        levels: Sequence[str] | None = None,
        **how: Any,
    ) -> Codes:
        """New codes {level: (count - first, size, size) int64}, from the top level down.

        The arguments are those of `sample_code_batches`.
        """
        how = {**how, "first": first, "levels": levels}
        drawn = self.sample_code_batches(count, label, seed, batch, **how)
        codes = {
            level: np.empty((count - first, size, size), np.int64)
            for level, size in self._sizes(self.drawn_levels(levels)).items()
        }
        for places, part in drawn:
            for level, maps in codes.items():
                maps[places.start - first : places.stop - first] = part[level]
        return codes

    def sample_code_batches(
        self,
        count: int,
        label: Label | None = None,
        seed: int = 0,
        batch: int | None = 32,
        temperature: float | Mapping[str, float] = 1.0,
        top_k: int | Mapping[str, int] = 0,
        top_p: float | Mapping[str, float] = 1.0,
        levels: Sequence[str] | None = None,
        given: Codes | None = None,
        method: str = "incremental",
        progress: bool = False,
        storage: str = "float32",
        communicator: Communicator | None = None,
        first: int = 0,
    ) -> Iterator[tuple[slice, Codes]]:
        """New codes a batch at a time: yields (slice of the samples, {level: (n, size, size)}).

        label        class name or number for all, or a list of `count`; None draws evenly from the
                     classes that were learned. Text is a name; see `vqv2.sampling.labels`
        temperature, top_k, top_p    `vqv2.sampling.Settings`: one value, or {level: value}
        levels       the coarsest levels, down to the finest that is drawn; default all
        given        {level: (count, size, size)} codes to keep, -1 where to draw: a whole top map,
                     or the rows to continue from
        seed         same seed, same backend: same codes, whatever is drawn beside them, as far as
                     rounding does not decide between two codes
        batch        how many are drawn side by side
        storage      "bfloat16" reads rounded weights, on a processor in half the time for small
                     batches
        communicator the processes that share the work (`backends.process.communication`): they take
                     turns with batches of equal size, at most `batch`, and all get all the codes
        first        the sample to begin with, of those that the seed gives

        Raises `InputError`, at once, when a level's prior is not trained, for an unknown class, and
        when the processes do not all draw the same from the same priors.
        """
        _check_at_least(1, count=count, batch=batch)
        _check_at_least(0, seed=seed, first=first)
        communicator = communicator or Single()
        batch = batch_size(count, batch, communicator)
        if first > count:
            raise InputError(f"first {first} must be at most {count}")
        levels = self.drawn_levels(levels)
        given = self._check_given({} if given is None else given, count, levels)
        self._check_priors([level for level in levels if not _is_whole(given.get(level))])
        labels = self.labels(label, count, np.random.default_rng(seed))
        settings = {level: self.settings(level, temperature, top_k, top_p) for level in levels}
        numbers = {"count": count, "first": first, "seed": seed, "batch": batch}
        alike = {**numbers, "method": method, "storage": storage}
        check_agreement(communicator, lambda: self._facts(alike, labels, settings, given))
        how = (method, progress and communicator.rank == 0, storage)

        def draw(places):
            return self._sample_batch(
                places,
                seed,
                None if labels is None else labels[places],
                settings,
                {level: kept[places] for level, kept in given.items()},
                how,
            )

        return draw_in_turns(draw, count, batch, self._sizes(levels), communicator, first)

    def _facts(self, how, labels, settings, given):
        """What all processes that draw codes together must have alike."""
        return {
            **how,
            "choice of classes": None if labels is None else labels.tolist(),
            **{f"setting of {level}": str(one) for level, one in settings.items()},
            **{f"choice of {level} codes to keep": kept.tolist() for level, kept in given.items()},
            "autoencoder": self.identity,
            **{f"prior of {level}": fingerprint(prior) for level, prior in self.priors.items()},
        }

    def _sample_batch(self, places, seed, labels, settings, given, how):
        """Codes {level: (n, size, size)} of the samples `places`, from the top level down."""
        method, progress, storage = how
        codes = {}
        for number, level in enumerate(settings):
            kept = given.get(level)
            if _is_whole(kept):
                codes[level] = kept  # nothing to draw: needs no prior
                continue
            codes[level] = sample_codes(
                self.priors[level],
                places.stop - places.start,
                level_generator(seed, number),
                labels,
                list(codes.values()),
                settings[level],
                kept,
                method,
                f"{level} codes" if progress else None,
                storage,
                places.start,
            )
        return codes

    def drawn_levels(self, levels: Sequence[str] | None) -> Sequence[str]:
        """Names of the levels that are drawn, coarse to fine, of `levels` or None for all.

        Raises `InputError` unless they are the coarsest ones: a finer level is drawn given these.
        """
        if levels is None:
            return self.levels
        chosen = [] if isinstance(levels, str) or not isinstance(levels, Iterable) else list(levels)
        check_levels(chosen, self.levels)
        if not chosen or chosen != list(self.levels[: len(chosen)]):
            raise InputError(
                f"levels {levels!r} cannot be drawn: give a list of the coarsest ones, such as "
                f"{list(self.levels[:1])}, of {', '.join(self.levels)}"
            )
        return self.levels[: len(chosen)]

    def labels(self, label: Label, count: int, rng: Generator) -> np.ndarray | None:
        """Class numbers (count,) of a label as `sample` takes it, or None without classes.

        Raises `InputError` for an unknown class, and for another number of labels than `count`.
        """
        if not self.class_names:
            if label is not None:
                raise InputError(f"class {label!r} was given, but this hierarchy has no classes")
            return None
        if label is None:
            return self.learned[rng.integers(len(self.learned), size=count)]
        return class_numbers(self.class_names, label, count)

    def _check_priors(self, levels):
        """Raise `InputError` unless these levels, coarse to fine, have priors."""
        for level in levels:
            if level not in self.priors:
                raise InputError(
                    f"the prior of level {level} is not trained yet: run `vqv2 train prior RUN "
                    f"--level {level}`, after `vqv2 encode RUN`{self._without(level)}"
                )

    def _without(self, level):
        """What can be drawn without the prior of a level, in words."""
        coarser = self.levels[: self.levels.index(level)]
        if not coarser or set(coarser) - set(self.priors):
            return ""
        return (
            f", or draw the coarser codes alone (--level {coarser[-1]}; from Python, "
            f"levels={list(coarser)})"
        )

    def settings(self, level: str, *values):
        """`vqv2.sampling.Settings` of a level, of values for all levels or {level: value}.

        Raises `InputError` for values that mean nothing, and for other levels.
        """
        return Settings(*(self._of_level(level, value) for value in values)).check()

    def _of_level(self, level, value):
        """A setting of one level, of a value for all or {level: value}."""
        if not isinstance(value, Mapping):
            return value
        if level not in value or set(value) - set(self.levels):
            raise InputError(
                f"a setting was given for {', '.join(map(str, value))}, but the levels are "
                f"{', '.join(self.levels)}: give it for each of them"
            )
        return value[level]

    def _sizes(self, levels):
        """{level: size of its maps} of some of the levels."""
        sizes = zip(self.levels, self.config.autoencoder.latent_sizes, strict=True)
        return {level: size for level, size in sizes if level in levels}

    def _images(self, parts, count):
        """Images of which `parts` has some at a time, as one array, and never twice in memory."""
        images, start = np.empty((count, *self.image_shape), np.float32), 0
        for part in parts:
            images[start : start + len(part)] = part
            start += len(part)
        return images

    def _check_by_level(self, name, codes):
        if not isinstance(codes, Mapping):
            raise InputError(
                f"{name} must be a dictionary {{level: codes}} of the levels "
                f"{', '.join(self.levels)}, not {type(codes).__name__}"
            )
        check_levels(codes, self.levels)

    def _count_of(self, codes):
        """N of codes {level: (N, size, size)}, the same for all levels and at least 1."""
        self._check_by_level("codes", codes)
        counts = {level: _map_count(level, maps) for level, maps in codes.items()}
        if len(set(counts.values())) > 1:
            numbers = ", ".join(f"{count} of {level}" for level, count in counts.items())
            raise InputError(f"there are codes of several numbers of images: {numbers}")
        count = max(counts.values(), default=0)
        if count == 0:
            raise InputError("there are no codes to decode")
        return count

    def _check_given(self, given, count, levels):
        self._check_by_level("given", given)
        for level, codes in given.items():
            if level not in levels:
                raise InputError(
                    f"codes of {level} were given, but what is drawn is {', '.join(levels)} alone"
                )
            size = self._sizes(self.levels)[level]
            check_given(codes, count, size, self.config.autoencoder.codebook_size, level)
        return {level: np.asarray(codes) for level, codes in given.items()}

    def _at_once(self, batch):
        """How many images to compute with at once: `batch`, or what training had memory for."""
        if batch is None:
            return self.config.autoencoder.images_at_once()
        _check_at_least(1, batch=batch)
        return batch

    def _check_images(self, images):
        try:
            images = np.asarray(images)
        except ValueError:
            raise InputError("images are of several shapes: give one array of them") from None
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise InputError(f"images have shape {images.shape}, expected (N, {expected})")
        if len(images) == 0:
            raise InputError("there are no images to encode")
        if images.dtype.kind != "f":
            advice = "divide by 255 for" if images.dtype.kind in "iu" else "they must be"
            raise InputError(f"images are {images.dtype}: {advice} floats in [0, 1]")
        if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
            raise InputError("images must be numbers from 0 to 1: some are not, or are NaN")
        return images


def _map_count(level, codes):
    """N of codes (N, size, size)."""
    try:
        shape = np.shape(codes)
    except ValueError:  # lists of several lengths
        shape = None
    if shape is None or len(shape) != 3:
        raise InputError(f"codes of {level} must be an array (N, size, size), not of shape {shape}")
    return shape[0]


def _is_whole(given):
    """Whether codes to keep leave nothing to draw."""
    return given is not None and given.size > 0 and given.min() >= 0


def _check_at_least(least, **numbers):
    """Raise `InputError` for one of these that is no whole number from `least` up."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise InputError(f"{name} {number!r} must be a whole number")
        if number < least:
            raise InputError(f"{name} {number} must be at least {least}")
