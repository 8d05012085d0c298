"""A folder of images as a whole: its splits and classes, what is in its files, who reads them."""

import os
from pathlib import Path

import numpy as np

from vqv2.data.decode import decoded_pixels, most_pixels
from vqv2.data.depth import FULL
from vqv2.data.formats import OTHER_IMAGES
from vqv2.data.index import WORKERS_FROM, open_index
from vqv2.data.layout import WHOLE, read_layout
from vqv2.data.readers import map_images, readers
from vqv2.data.workers import Workers, automatic_count, check_count
from vqv2.errors import InputError

_USUAL_BITS = (8, 10, 12, 14)  # of sensors
_SHOWN = 8  # endings


class FolderTree:
    """A folder opened once, for all the splits of it that are wanted.

    folder   its path
    index    the `Index` of all its images
    layout   the `Layout` of its folders
    bits     how many bits the values of 16-bit files have that do not say it; None: all of them
    workers  the `Workers` that read the images; None for threads of this process

    `workers`, a number, asks for that many processes, 0 for none; None decides by the number of
    images. Raises `InputError` for a folder that is missing or cannot be listed, and for splits or
    classes that contradict each other.
    """

    def __init__(self, folder, workers=None, rebuild=False, bits=None):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            there = self.folder.exists()
            problem = f"{folder} is no folder" if there else f"there is no folder {folder}"
            raise InputError(f"{problem}: give a folder of images")
        check_count(workers)
        pool = None if workers == 0 else Workers(workers or automatic_count())
        self.index = open_index(self.folder, pool, rebuild)
        self.layout = read_layout(self.folder, self.index.listing)
        self.bits = bits
        few = workers is None and len(self.index) < WORKERS_FROM
        self.workers = None if few else pool

    @property
    def readers(self):
        """Who reads the images, in words."""
        return readers(self.workers)

    def map(self, function, calls, count):
        """Iterator over `function(path, ...)` for each of `count` calls, in order, by the readers.

        As `vqv2.data.readers.map_images`.
        """
        return map_images(self.workers, function, calls, count)

    def path(self, place):
        """Of a file."""
        return os.path.join(self.folder, self.index.listing.path(place))

    def files_of(self, split):
        """Which files are of "train", "held_out" or "all", bool (N,).

        Where the folder has no splits of its own, all files may be of either.
        """
        parts = {WHOLE, "train", "held_out"} if split == "all" else {WHOLE, split}
        folders = [
            part in parts and number not in self.layout.left_out
            for number, part in enumerate(self.layout.part_of)
        ]
        return np.array(folders)[self.index.listing.folder_of]

    def misplaced(self):
        """[(path, reason)] of the files and folders that lie where no image should."""
        listing = self.index.listing
        places = np.flatnonzero(np.isin(listing.folder_of, list(self.layout.left_out)))
        return [
            *((self.path(p), self.layout.left_out[listing.folder_of[p]]) for p in places.tolist()),
            *((str(self.folder / path), reason) for path, reason in listing.left_out),
        ]

    def problems(self):
        """[(path, reason)] of what cannot be used, whatever size is asked for."""
        return self.misplaced() + [(self.path(p), why) for p, why in self.index.reasons.items()]

    @property
    def remarks(self):
        """[Sentence] on what is odd, and on what is left out without being named file by file."""
        passed_over = _passed_over(self.index.listing.passed_over)
        return [*self.layout.remarks, *passed_over, *self._remarks_on_range()]

    def _remarks_on_range(self):
        bits = self._undeclared_bits()
        if self.bits is not None or bits.max(initial=0) < FULL:  # see `check_range`
            return []
        half = int(np.median(bits))
        if half > max(_USUAL_BITS):
            return []
        return [
            f"half of the 16-bit images have values up to {2**half - 1} at most, and will be dark, "
            "as others fill the range: if these are mistaken, give "
            f"{_usual(half)}-bit:{self.folder} as the data, and they are left out"
        ]

    def _undeclared_bits(self):
        """`Index.bits` of the used files of more than 8 bits that do not say their range."""
        bits = self.index.bits[self.files_of("all")]
        return bits[bits > 0]

    def decodable(self, at_least):
        """Which files have few enough pixels to be decoded for a size, bool (N,)."""
        width, height = (side.astype(np.int64) for side in (self.index.width, self.index.height))
        return decoded_pixels(width, height, self.index.reducible, at_least) <= most_pixels(
            at_least
        )

    def remarks_on_large(self):
        """[Sentence] on images that are decoded for large sizes only."""
        places = np.flatnonzero(~self.decodable(1))
        if not len(places):
            return []
        return [
            f"{len(places)} images have more than {most_pixels(1)} pixels, and are left out unless "
            f"the size asked for is large; the first is {self.path(places[0])}"
        ]

    def check_range(self):
        """Raise `InputError` where 16-bit files that do not say their range use only part of it."""
        used = int(self._undeclared_bits().max(initial=0))
        if self.bits is None and 0 < used < FULL:
            raise InputError(unclear_range(self.folder, used))


def unclear_range(data, used):
    """What to say of `data` whose values of 16 bits need so many at most."""
    usual = _usual(used)
    return (
        f"the 16-bit images of {data} have values up to {2**used - 1} at most, and would be dark: "
        f"give {usual}-bit:{data} as the data if {usual} bits (or another number) are their range, "
        f"and {FULL}-bit:{data} if they are meant to be so dark"
    )


def _usual(used):
    """The number of bits that values have which need so many."""
    return next((bits for bits in _USUAL_BITS if bits >= used), used)


def _passed_over(counts):
    """[Sentence] on files that are no images by their names, {ending: number}."""
    if not counts:
        return []
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{count} {ending or 'without an ending'}" for ending, count in most]
    more = [f"{sum(count for _, count in most[_SHOWN:])} others"] if most[_SHOWN:] else []
    images = [ending for ending, _ in most if ending in OTHER_IMAGES]
    hint = f"; to have {', '.join(images)} read, convert them to PNG or JPEG" if images else ""
    return [f"files of other kinds passed over: {', '.join(words[:_SHOWN] + more)}{hint}"]
