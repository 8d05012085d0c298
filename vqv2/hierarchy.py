"""A trained hierarchy as one object: images to codes, codes to images, and new images.

hierarchy = vqv2.Hierarchy.load("runs/emoji")
codes = hierarchy.encode(images)                    # {"top": (N, 8, 8), "bottom": (N, 16, 16)}
hierarchy.decode(codes, levels=["top"])             # what the top level alone says
hierarchy.sample(16, label="faces", temperature=0.9, seed=1)
"""

import math
from collections.abc import Mapping

import numpy as np

from backends.communication import Single
from vqv2.data.codes import training_classes
from vqv2.errors import InputError
from vqv2.run import Run
from vqv2.sampling import Settings, check_given, sample_codes


class Hierarchy:
    """An autoencoder and its priors, with averaged weights, for use rather than training.

    config       the `Config` they were built from
    levels       names, coarse to fine
    class_names  names of the classes, empty for an unconditional hierarchy
    learned      (C,) numbers of the classes that training had images of, ascending
    autoencoder  the `Autoencoder`
    priors       {level: Prior} of the levels that have been trained
    identity     what tells this autoencoder from another
    """

    def __init__(self, config, class_names, autoencoder, priors, identity="", learned=None):
        self.config = config
        self.levels = config.levels
        self.class_names = tuple(class_names) if config.conditional else ()
        self.learned = np.arange(len(self.class_names)) if learned is None else learned
        self.autoencoder = autoencoder
        self.priors = priors
        self.identity = identity

    @classmethod
    def load(cls, folder, priors=True, best=False):
        """The hierarchy in a run folder, with those priors that are there (none: `priors=False`).

        Priors are as their training left them, or, with `best`, as they were when their held-out
        loss was lowest. Which classes they have learned the run's codes tell; without these all
        of them count. Raises `InputError` when the folder is no run, when a file in it is damaged,
        or when a prior learned the codes of another autoencoder.
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
        learned = training_classes(run.codes_folder, identity) if run.config.conditional else None
        return cls(run.config, run.class_names, autoencoder, loaded, identity, learned)

    def encode(self, images, batch=32):
        """Images (N, H, W, C) in [0, 1] -> {level: codes (N, size, size) uint16}.

        Raises `InputError` for another shape or dtype, and for pixels outside [0, 1] or NaN.
        """
        _check_at_least(1, batch=batch)
        images = self._check_images(images)
        parts = [
            self.autoencoder.encode(images[start : start + batch])
            for start in range(0, len(images), batch)
        ]
        return {
            level: np.concatenate([part[level] for part in parts]).astype(np.uint16)
            for level in self.levels
        }

    def decode(self, codes, levels=None, batch=32):
        """{level: codes (N, size, size)} -> images (N, H, W, C), float32 in [0, 1].

        `levels` names the levels to use, default all; what the others would say is replaced by
        their average (Figure 8). Raises `InputError` for codes or levels that do not fit.
        """
        _check_at_least(1, batch=batch)
        self._check_by_level("codes", codes)
        count = max((_map_count(level, maps) for level, maps in codes.items()), default=0)
        if count == 0:
            raise InputError("there are no codes to decode")
        parts = [
            self.autoencoder.decode({k: c[start : start + batch] for k, c in codes.items()}, levels)
            for start in range(0, count, batch)
        ]
        return np.concatenate(parts)

    def sample(self, count, label=None, seed=0, batch=32, **how):
        """`count` new images (count, H, W, C), float32 in [0, 1] (Algorithm 2, lines 10-14).

        `how` is passed to `sample_codes`: temperature, top_k, top_p, given, progress, method,
        storage, window, communicator.
        """
        return self.decode(self.sample_codes(count, label, seed, batch, **how))

    def sample_codes(
        self,
        count,
        label=None,
        seed=0,
        batch=32,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        given=None,
        method="incremental",
        progress=False,
        storage="float32",
        window=1,
        communicator=None,
    ):
        """New codes {level: (count, size, size) int64}, from the top level down.

        label        class name or number for all, or a list of `count`; None draws evenly from the
                     classes that were learned
        temperature, top_k, top_p    `vqv2.sampling.Settings`: one value, or {level: value}
        given        {level: (count, size, size)} codes to keep, -1 where to draw: a whole top map,
                     or the rows to continue from
        seed         same seed, same batch, same backend: same codes
        batch        how many are drawn side by side
        storage      "bfloat16" reads rounded weights, on a processor in half the time for small
                     batches
        window       positions that a pass over the weights looks at: with 4, say, fewer passes and
                     the same codes; for a batch of one or two
        communicator the processes that share the work (`backends.communication`): they take turns
                     with batches of equal size, at most `batch`, and all get all the codes

        Raises `InputError` when a level's prior is not trained, and for an unknown class.
        """
        _check_at_least(1, count=count, batch=batch)
        _check_at_least(0, seed=seed)
        communicator = communicator or Single()
        given = self._check_given({} if given is None else given, count)
        rng = np.random.default_rng(seed)
        labels = self.labels(label, count, rng)
        settings = {level: self.settings(level, temperature, top_k, top_p) for level in self.levels}
        batch = min(batch, math.ceil(count / communicator.size))
        starts = range(0, count, batch)
        generators = [rng, *rng.spawn(len(starts) - 1)]  # no batch waits for another one's draws
        sizes = zip(self.levels, self.config.autoencoder.latent_sizes, strict=True)
        codes = {level: np.zeros((count, size, size), np.int64) for level, size in sizes}
        for turn in range(communicator.rank, len(starts), communicator.size):
            chosen = slice(starts[turn], min(starts[turn] + batch, count))
            part = self._sample_batch(
                chosen.stop - chosen.start,
                generators[turn],
                None if labels is None else labels[chosen],
                settings,
                {level: kept[chosen] for level, kept in given.items()},
                (method, progress and communicator.rank == 0, storage, window),
            )
            for level in self.levels:
                codes[level][chosen] = part[level]
        return {level: communicator.all_reduce(codes[level]) for level in self.levels}

    def _sample_batch(self, count, rng, labels, settings, given, how):
        """Codes {level: (count, size, size)} drawn side by side, from the top level down."""
        method, progress, storage, window = how
        codes = {}
        for level in self.levels:
            kept = given.get(level)
            if kept is not None and kept.size and kept.min() >= 0:
                codes[level] = kept  # nothing to draw: needs no prior
                continue
            codes[level] = sample_codes(
                self._prior(level),
                count,
                rng,
                labels,
                list(codes.values()),
                settings[level],
                kept,
                method,
                f"{level} codes" if progress else None,
                storage,
                window,
            )
        return codes

    def labels(self, label, count, rng):
        """Class numbers (count,) of a label as `sample_codes` takes it, or None without classes.

        Raises `InputError` for an unknown class, and for another number of labels than `count`.
        """
        if not self.class_names:
            if label is not None:
                raise InputError(f"class {label!r} was given, but this hierarchy has no classes")
            return None
        if label is None:
            return self.learned[rng.integers(len(self.learned), size=count)]
        if np.ndim(label) == 0:
            return np.full(count, self._class_number(label))
        numbers = np.array([self._class_number(one) for one in label], dtype=np.int64)
        if len(numbers) != count:
            raise InputError(f"{len(numbers)} labels were given for {count} samples")
        return numbers

    def _class_number(self, label):
        names = self.class_names
        if label in names:
            return names.index(label)
        if str(label).isdecimal() and int(label) < len(names):
            return int(label)
        raise InputError(
            f"there is no class {label!r}: use a number below {len(names)} or one of "
            f"{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        )

    def _prior(self, level):
        if level not in self.priors:
            raise InputError(
                f"the prior of level {level} is not trained yet: run `vqv2 train prior`"
            )
        return self.priors[level]

    def settings(self, level, *values):
        """`vqv2.sampling.Settings` of a level, of values for all levels or {level: value}.

        Raises `InputError` for values that mean nothing, and for other levels.
        """
        chosen = []
        for value in values:
            if isinstance(value, dict):
                if set(value) != set(self.levels):
                    raise InputError(
                        f"a setting was given for {', '.join(value)}, but the levels are "
                        f"{', '.join(self.levels)}: give it for each of them"
                    )
                value = value[level]
            chosen.append(value)
        return Settings(*chosen).check()

    def _check_by_level(self, name, codes):
        if not isinstance(codes, Mapping):
            raise InputError(
                f"{name} must be a dictionary {{level: codes}} of the levels "
                f"{', '.join(self.levels)}, not {type(codes).__name__}"
            )

    def _check_given(self, given, count):
        self._check_by_level("given", given)
        for level, codes in given.items():
            if level not in self.levels:
                raise InputError(
                    f"there is no level {level!r}: the levels are {', '.join(self.levels)}"
                )
            size = self.config.autoencoder.latent_sizes[self.levels.index(level)]
            check_given(codes, count, size, self.config.autoencoder.codebook_size, level)
        return {level: np.asarray(codes) for level, codes in given.items()}

    def _check_images(self, images):
        try:
            images = np.asarray(images)
        except ValueError:
            raise InputError("images are of several shapes: give one array of them") from None
        size, channels = self.config.autoencoder.image_size, self.config.autoencoder.channels
        if images.ndim != 4 or images.shape[1:] != (size, size, channels):
            raise InputError(
                f"images have shape {images.shape}, expected (N, {size}, {size}, {channels})"
            )
        if len(images) == 0:
            raise InputError("there are no images to encode")
        if images.dtype.kind != "f":
            raise InputError(f"images are {images.dtype}: divide by 255 for floats in [0, 1]")
        if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
            raise InputError("images must be numbers from 0 to 1: some are not, or are NaN")
        return images.astype(np.float32)


def _map_count(level, codes):
    """N of codes (N, size, size)."""
    try:
        shape = np.shape(codes)
    except ValueError:  # lists of several lengths
        shape = None
    if shape is None or len(shape) != 3:
        raise InputError(f"codes of {level} must be an array (N, size, size), not of shape {shape}")
    return shape[0]


def _check_at_least(least, **numbers):
    """Raise `InputError` for one of these that is no whole number from `least` up."""
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer):
            raise InputError(f"{name} {number!r} must be a whole number")
        if number < least:
            raise InputError(f"{name} {number} must be at least {least}")
