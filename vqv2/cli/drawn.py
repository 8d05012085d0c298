"""Codes of samples on the disk while they are drawn: a crash costs the batch under way, no more.

Drawing takes the time; codes are small, and decoded quickly. So codes are what is kept, as a store
(`vqv2.run.codes`) with a record of whatever decides them: the same request goes on where it ended,
with the same bits, and another one is refused.
"""

import contextlib
import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np

import backends
from vqv2.data.save import rounded
from vqv2.errors import InputError
from vqv2.run.code_writing import write_codes
from vqv2.run.codes import open_codes, settings_of
from vqv2.sampling import batch_size

SPLIT = "train"  # which every store has


class DrawnSamples:
    """`count` samples of a `Hierarchy`, drawn into the store `folder` and decoded from it.

    labels   classes (count,), int64; None without classes, and where the seed draws them
    The others are as for `Hierarchy.sample_code_batches`. The first process of the communicator
    has the store. Raises `InputError` when the folder holds what another request has drawn.
    """

    def __init__(
        self,
        folder,
        hierarchy,
        count,
        label,
        seed,
        batch,
        communicator,
        levels=None,
        **how,
    ):
        self.folder = Path(folder)
        self.partial = self.folder.with_name(f"{self.folder.name}.partial")
        self.hierarchy, self.count, self.communicator = hierarchy, count, communicator
        self.levels = hierarchy.drawn_levels(levels)
        self.batch = batch_size(count, batch, communicator)
        self.labels = None if label is None else hierarchy.labels(label, count, None)
        self._arguments = (count, label, seed, self.batch)
        self._how = {**how, "levels": list(self.levels)}
        request = {
            "count": count,
            "class": hierarchy.learned.tolist() if label is None else label,
            "seed": seed,
            **self._how,
            "backend": backends.current(),
            "model": {"autoencoder": hierarchy.identity, **hierarchy.prior_identities},
        }
        self._settings = {name: _number_of(value) for name, value in request.items()}
        self._store = None
        if communicator.rank == 0:
            self._check_same()

    def draw(self, progress=True):
        """Draw those that are not in the store yet."""
        writes = self.communicator.rank == 0
        is_complete = writes and settings_of(self.folder) == self._settings
        if not self.communicator.broadcast(np.array(is_complete)):
            with self._written() if writes else contextlib.nullcontext() as writer:
                first = self.communicator.broadcast(np.array(self._first(writer)))
                self._fill(writer, int(first), progress)
        if writes:
            self._store = open_codes(self.folder)

    @property
    def shape(self):
        """(N, H, W, C) of all images."""
        return self.count, *self.hierarchy.image_shape

    def images(self, places):
        """Some samples, by a slice or integers (n,): (n, H, W, C) float32 in [0, 1]."""
        codes = {level: self._store.codes(SPLIT, level)[places] for level in self.levels}
        return self.hierarchy.decode(codes, self.levels)

    def image_batches(self):
        """All samples as `images` gives them, a batch at a time."""
        for start in range(0, self.count, self.batch):
            yield self.images(slice(start, start + self.batch))

    def pixels(self):
        """All samples, uint8 (N, H, W, C)."""
        pixels, starts = np.empty(self.shape, np.uint8), range(0, self.count, self.batch)
        for start, images in zip(starts, self.image_batches(), strict=True):
            pixels[start : start + len(images)] = rounded(images)
        return pixels

    def place(self):
        """The folder on the disk now, complete or not; None where there is none."""
        return next((path for path in (self.folder, self.partial) if path.exists()), None)

    def remove(self):
        """Remove the store."""
        for path in (self.folder, self.partial):
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def _written(self):
        """The `CodeWriter` of the store; one without a sample does not stay."""
        config, first = self.hierarchy.config, 0
        sizes = config.autoencoder.latent_sizes[: len(self.levels)]
        counts = {SPLIT: self.count}
        name = self.hierarchy.identity
        try:
            with write_codes(
                self.folder, self.levels, sizes, counts, (), name, "samples", self._settings
            ) as writer:
                try:
                    yield writer
                finally:
                    first = self._first(writer)
        except BaseException:
            if not first:
                shutil.rmtree(self.partial, ignore_errors=True)
            raise

    def _first(self, writer):
        """The first sample that is missing; 0 without a writer."""
        return writer.written(SPLIT) if writer else 0

    def _fill(self, writer, first, progress):
        if first and writer:
            print(f"going on: {first} of {self.count} samples were drawn before")
        drawn = self.hierarchy.sample_code_batches(
            *self._arguments,
            **self._how,
            communicator=self.communicator,
            progress=progress,
            first=first,
        )
        for places, codes in drawn:
            if writer:
                writer.write(SPLIT, places.start, codes)

    def _check_same(self):
        for path in (self.folder, self.partial):
            found = settings_of(path)
            if path.exists() and found != self._settings:
                names = [name for name in self._settings if found.get(name) != self._settings[name]]
                raise InputError(
                    f"{path} holds samples that were drawn with another {', '.join(names)}: give "
                    "the same command to go on with them, remove it, or choose another output"
                )


def _number_of(value):
    """A whole number that tells a setting from others, however long it is."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return value if isinstance(value, int) else int(digest[:12], 16)


@contextlib.contextmanager
def kept_until_done(samples):
    """Context manager: the stores of several `DrawnSamples` are removed when the block ends.

    When it raises they stay, which is said on standard error.
    """
    try:
        yield
    except BaseException:
        places = [str(one.place()) for one in samples if one.place()]
        if places:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            print(
                f"what was drawn is kept in {places[0]}{more}: the same command goes on with it",
                file=sys.stderr,
            )
        raise
    for one in samples:
        one.remove()
