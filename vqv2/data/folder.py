"""A folder of image files, with a class for each sub-folder."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from vqv2.data.crop import decoded_size
from vqv2.data.decode import EXTENSIONS, UnreadableImage, decode
from vqv2.data.load import load_image
from vqv2.data.prefetch import in_order
from vqv2.data.source import ImageSource
from vqv2.data.split import check_split, split_indices
from vqv2.data.tree import FolderTree
from vqv2.errors import InputError

_THREADS = min(16, os.cpu_count() or 1)
_IMAGES_PER_REQUEST = 8  # at most, to a worker


class FolderImages(ImageSource):
    """The images in a folder and below it, sorted by path; a class is a sub-folder's name.

    Without sub-folders there are no labels, and neither when images lie both beside the
    sub-folders and in them. Names that begin with a dot are passed over. With the sub-folders
    `train` and one of `val`, `held_out`, `validation`, `test` (the first there is), these are the
    splits, and the classes are below them; otherwise about 5 % are held out by a hash of the path
    (`vqv2.data.split`).

    `folder` is a path, or a `FolderTree` that several splits share. Opening looks at every file's
    header, not its pixels, and remembers them (`vqv2.data.index`). Files that are unreadable or
    smaller than `size` go to `skipped`. A file that turns out to be damaged when `batch` decodes it
    goes there too, and the next readable image, of the same class if there is one, takes its place.
    Batches are read by the tree's worker processes, or by threads of this one: they are the same.

    For each image there are kept its name and about 50 bytes; for a million files the process grew
    by 170 MB.

    Raises `InputError` for a folder that is missing, or empty, or has no image that can be used.
    """

    def __init__(self, folder, size, channels=3, split="all", workers=None):
        check_split(split)
        tree = folder if isinstance(folder, FolderTree) else FolderTree(folder, workers)
        super().__init__(tree.folder.resolve().name, size, channels)
        self._folder = str(tree.folder)
        self._damaged = set()
        self._lock = threading.Lock()
        self._workers = tree.workers
        roots = [tree.parts[split]] if split in tree.parts else list(tree.indexes)
        self._parts = [(str(root), tree.indexes[root]) for root in roots]
        self._starts = np.cumsum([0, *(len(index) for _, index in self._parts)])
        self._places = self._usable(tree.folder)
        if not tree.parts and split != "all":
            keys = map(self._parts[0][1].listing.path, self._places)
            self._places = self._places[split_indices(keys, split, str(tree.folder))]
        if not any(_has_loose_files(index.listing) for _, index in self._parts):
            self._set_classes(tree.indexes.values())

    def __len__(self):
        return len(self._places)

    @property
    def readers(self):
        """Who reads the images, in words."""
        if self._workers is None:
            return f"{_THREADS} threads of this process"
        return f"{self._workers.count} worker processes"

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
        return os.path.relpath(self._path(index), self._folder)

    def _what_it_holds(self):
        """Paths below the folder, and sizes in bytes, of the files that are used; not their age."""
        for number, (_, index) in enumerate(self._parts):
            first, last = self._starts[number : number + 2]
            own = self._places[(self._places >= first) & (self._places < last)]
            yield from index.listing.identifying(own - first)

    def _path(self, index):
        return self._path_at(int(self._places[index]))

    def _path_at(self, place):
        part = int(np.searchsorted(self._starts, place, "right")) - 1
        root, index = self._parts[part]
        return os.path.join(root, index.listing.path(place - int(self._starts[part])))

    def _picture(self, index):
        return decode(self._path(index), decoded_size(self.size))

    def _prepared(self, indices, augmentation, seeds):
        chosen = [self._readable(index) for index in indices]
        loaded = self._load(chosen, augmentation, seeds)
        for index, found, seed in zip(chosen, loaded, seeds, strict=True):
            while isinstance(found, UnreadableImage):
                self._skip_damaged(index, found)
                index = self._readable(index)
                (found,) = self._load([index], augmentation, [seed])
            yield found

    def _load(self, indices, augmentation, seeds):
        """Iterator over what `load_image` says of each image."""
        calls = (
            (self._path(index), self.size, self.channels, augmentation, seed)
            for index, seed in zip(indices, seeds, strict=True)
        )
        if self._workers is not None:
            together = self._images_per_request(len(indices))
            yield from self._workers.map(load_image, calls, _reading, together)
            return
        Image.init()  # loads the formats once, not in every thread
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from in_order(threads, lambda call: load_image(*call), calls, 2 * _THREADS)

    def _images_per_request(self, count):
        """Few enough that all workers have the same to do, but not one for each tiny image."""
        return max(1, min(_IMAGES_PER_REQUEST, count // (4 * self._workers.count)))

    def _readable(self, index):
        """Image `index`, or if it is known to be damaged the one that stands in for it.

        That is the next one in order, going round, of the same class if there is any. It depends on
        the files only, not on what has been read before.
        """
        if index not in self._damaged:
            return index
        others = (np.arange(1, len(self)) + index) % len(self)
        if self.labels is not None:
            others = others[np.argsort(self.labels[others] != self.labels[index], kind="stable")]
        for other in others.tolist():
            if other not in self._damaged:
                return other
        raise InputError(f"none of the {len(self)} images of {self.name} can be read any more")

    def _skip_damaged(self, index, reason):
        with self._lock:
            if index not in self._damaged:
                self._damaged.add(index)
                self.skipped.append((self._path(index), str(reason)))

    def _usable(self, folder):
        """The places of the files that can be used, int64; the others go to `skipped`."""
        total = int(self._starts[-1])
        if not total:
            raise InputError(f"{folder} has no image files ({' '.join(EXTENSIONS)}) to use")
        sides = [np.minimum(index.width, index.height) for _, index in self._parts]
        usable = np.concatenate(sides) >= self.size
        self.skipped = [self._skipped_entry(place) for place in np.flatnonzero(~usable).tolist()]
        if not usable.any():
            path, reason = self.skipped[0]
            raise InputError(
                f"none of the {total} image files in {folder} can be used; "
                f"the first is {path}: {reason}"
            )
        return np.flatnonzero(usable)

    def _skipped_entry(self, place):
        part = int(np.searchsorted(self._starts, place, "right")) - 1
        index, within = self._parts[part][1], place - int(self._starts[part])
        shape = f"{index.width[within]} x {index.height[within]}"
        too_small = f"it is too small: {shape} pixels for a size of {self.size}"
        return self._path_at(place), index.reasons.get(within, too_small)

    def _set_classes(self, indexes):
        """Number the classes of all the splits together, so that every split has them alike."""
        classes = {name for index in indexes for name in _class_names(index.listing) if name}
        self.class_names = tuple(sorted(classes))
        numbers = {name: number for number, name in enumerate(self.class_names)}
        labels = [
            np.array([numbers.get(name, -1) for name in _folder_classes(index.listing)])[
                index.listing.folder_of
            ]
            for _, index in self._parts
        ]
        self.labels = np.concatenate(labels)[self._places]


def _reading(path, *_):
    return f"reading {path}"


def _folder_classes(listing):
    """The class of each folder: the first part of its path; "" for the root itself."""
    return [path.split("/")[0] for path in listing.folders]


def _class_names(listing):
    """The classes that have files."""
    classes = _folder_classes(listing)
    return {classes[number] for number in np.unique(listing.folder_of)}


def _has_loose_files(listing):
    """Whether an image lies in the folder itself, in no class's sub-folder."""
    return bool((listing.folder_of == 0).any())
