"""A folder of image files, with a class for each sub-folder."""

import threading

import numpy as np

from vqv2.data.augment import NONE
from vqv2.data.crop import decoded_size
from vqv2.data.decode import UnreadableImage, decode, too_many_pixels
from vqv2.data.formats import endings
from vqv2.data.layout import WHOLE
from vqv2.data.load import load_image
from vqv2.data.source import ImageSource
from vqv2.data.split import check_split, split_indices
from vqv2.data.tree import FolderTree
from vqv2.data.unusable import commonest, readable
from vqv2.errors import InputError


class FolderImages(ImageSource):
    """The images in a folder and below it, sorted by path; a class is a sub-folder's name.

    `vqv2.data.layout` says which folders are splits and which are classes; without splits about 5 %
    are held out by a hash of the path (`vqv2.data.split`). Names that begin with a dot are passed
    over.

    `folder` is a path, or a `FolderTree` that several splits share. Opening looks at every file's
    header, not its pixels, and remembers them (`vqv2.data.index`). Files that are unreadable, too
    large, smaller than `size`, or beside the class folders go to `skipped`. A file that turns out
    to be damaged when `batch` decodes it goes there too, and the next readable image, of the same
    class if there is one, takes its place. Batches are read by the tree's worker processes, or by
    threads of this one: they are the same.

    places  int64 (N,), of its files in the tree's index

    For each image there are kept its name and about 50 bytes; for a million files the process grew
    by 170 MB.

    Raises `InputError` for a folder that is missing, or empty, or has no image that can be used,
    whose splits or classes contradict each other, or whose 16-bit images have an unclear range.
    """

    def __init__(self, folder, size, channels=3, split="all", workers=None):
        check_split(split)
        tree = folder if isinstance(folder, FolderTree) else FolderTree(folder, workers)
        super().__init__(tree.folder.resolve().name, size, channels)
        self._damaged = {}  # {place: reason}
        self._lock = threading.Lock()
        self._tree = tree
        self.places = self._usable(tree.files_of(split), split)
        if WHOLE in tree.layout.splits and split != "all":
            keys = map(self._key, self.places)
            self.places = self.places[split_indices(keys, split, str(tree.folder))]
        tree.check_range()
        self.remarks = tree.remarks
        if tree.layout.class_names:
            self.class_names = tree.layout.class_names
            self.labels = tree.layout.class_of[tree.index.listing.folder_of[self.places]]

    def __len__(self):
        return len(self.places)

    def readers(self, augmentation=NONE):
        """Who reads the images for batches with an augmentation, in words."""
        return self._tree.readers

    def read(self, index):
        """Image `index`, cropped at its centre: uint8 (size, size, channels).

        Raises `InputError` with the path when the file is damaged.
        """
        try:
            return super().read(index)
        except UnreadableImage as error:
            raise InputError(f"{self._path(index)} cannot be used: {error}") from error

    def image_name(self, index):
        """Its path below the folder."""
        return self._tree.index.listing.path(self.places[index])

    def _what_it_holds(self):
        """Paths below the folder, and sizes in bytes, of the files that are used; not their age."""
        if self._tree.bits is not None:
            yield f"{self._tree.bits} bits".encode()
        yield from self._tree.index.listing.identifying(self.places, self._tree.layout.below)

    def _path(self, index):
        return self._tree.path(self.places[index])

    def _key(self, place):
        """What a file is called below the folder that is divided."""
        path, top = self._tree.index.listing.path(place), self._tree.layout.splits[WHOLE]
        return path.removeprefix(f"{top}/") if top else path

    def _picture(self, index):
        return decode(self._path(index), decoded_size(self.size), self._tree.bits)

    def _prepared(self, indices, augmentation, seeds):
        chosen = [readable(index, self, self._damaged) for index in indices]
        loaded = self._load(chosen, augmentation, seeds)
        for index, found, seed in zip(chosen, loaded, seeds, strict=True):
            while isinstance(found, UnreadableImage):
                self._skip_damaged(index, found)
                index = readable(index, self, self._damaged)
                (found,) = self._load([index], augmentation, [seed])
            yield found

    def _load(self, indices, augmentation, seeds):
        """Iterator over what `load_image` says of each image."""
        calls = (
            (self._path(index), self.size, self.channels, augmentation, seed, self._tree.bits)
            for index, seed in zip(indices, seeds, strict=True)
        )
        return self._tree.map(load_image, calls, len(indices))

    def _skip_damaged(self, index, reason):
        with self._lock:
            if index not in self._damaged:
                self._damaged[index] = self._path(index), str(reason)
                self.skipped.append(self._damaged[index])

    def _usable(self, wanted, split):
        """The places of the wanted files, bool (N,), that can be used, int64.

        The others go to `skipped`, with those that lie where no image should.
        """
        index, folder = self._tree.index, self._tree.folder
        if not wanted.any():
            part = folder / self._tree.layout.splits.get(split, "")
            remarks = "".join(f"; {remark}" for remark in self._tree.remarks)
            raise InputError(f"{part} has no image files ({' '.join(endings())}) to use{remarks}")
        usable = wanted & (np.minimum(index.width, index.height) >= self.size)
        usable &= self._tree.decodable(decoded_size(self.size))
        self.skipped = [
            (self._tree.path(place), self._reason(place))
            for place in np.flatnonzero(wanted & ~usable).tolist()
        ]
        if not usable.any():
            raise InputError(
                f"none of the {wanted.sum()} image files in {folder} can be used: "
                f"{commonest(self.skipped)}"
            )
        self.skipped += self._tree.misplaced()
        return np.flatnonzero(usable)

    def _reason(self, place):
        """Why a file cannot be used."""
        index = self._tree.index
        if place in index.reasons:
            return index.reasons[place]
        width, height = int(index.width[place]), int(index.height[place])
        if min(width, height) < self.size:
            return f"it is too small: {width} x {height} pixels for a size of {self.size}"
        return too_many_pixels(width, height, decoded_size(self.size))
