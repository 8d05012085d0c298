"""A folder of image files, with a class for each sub-folder."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from vqv2.data.crop import ROOM
from vqv2.data.decode import EXTENSIONS, UnreadableImage, decode, inspect
from vqv2.data.source import ImageSource
from vqv2.data.split import check_split, split_indices
from vqv2.errors import InputError

_HELD_OUT_NAMES = ("val", "held_out", "validation", "test")
_THREADS = min(16, os.cpu_count() or 1)


class FolderImages(ImageSource):
    """The images in `folder` and below it, sorted by path; a class is a sub-folder's name.

    Without sub-folders there are no labels, and neither when images lie both beside the
    sub-folders and in them. Names that begin with a dot are passed over. With the sub-folders
    `train` and one of `val`, `held_out`, `validation`, `test` (the first there is), these are the
    splits, and the classes are below them; otherwise about 5 % are held out by a hash of the path
    (`vqv2.data.split`).

    Opening checks every file's header, not its pixels. Files that are unreadable or smaller than
    `size` go to `skipped`. A file that turns out to be damaged when `batch` decodes it goes there
    too, and the next readable image, of the same class if there is one, takes its place.

    Raises `InputError` for a folder that is missing, or empty, or has no image that can be used.
    """

    def __init__(self, folder, size, channels=3, split="all"):
        check_split(split)
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}: give a folder of images")
        super().__init__(folder.resolve().name, size, channels)
        self._damaged = set()
        self._lock = threading.Lock()
        parts = _split_folders(folder)
        files = {root: _image_files(root) for root in parts.values() or [folder]}
        wanted = [parts[split]] if split in parts else list(files)
        found = self._usable([(root, name) for root in wanted for name in files[root]], folder)
        if not parts:
            chosen = split_indices([name for _, name in found], split, str(folder))
            found = [found[index] for index in chosen]
        self._files = found
        if not any(_is_loose(name) for root in wanted for name in files[root]):
            self._set_classes(files.values())

    def __len__(self):
        return len(self._files)

    def read(self, index):
        """Image `index`, cropped at its centre: uint8 (size, size, channels).

        Raises `InputError` with the path when the file is damaged.
        """
        try:
            return super().read(index)
        except UnreadableImage as error:
            raise InputError(f"{self._path(index)} cannot be used: {error}") from error

    def _path(self, index):
        return os.path.join(*self._files[index])

    def _picture(self, index):
        return decode(self._path(index), at_least=ceil(ROOM * self.size))

    def _crops(self, indices, draws):
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(self._crop_or_stand_in, indices, draws))

    def _crop_or_stand_in(self, index, draw):
        for candidate in self._candidates(index):
            try:
                return self._cropped(candidate, draw)
            except UnreadableImage as error:
                self._skip_damaged(candidate, error)
        raise InputError(f"none of the {len(self)} images of {self.name} can be read any more")

    def _candidates(self, index):
        """Image `index`, then those that may stand in for it: the same class first, in order."""
        if index not in self._damaged:
            yield index
        others = (np.arange(1, len(self)) + index) % len(self)
        if self.labels is not None:
            others = others[np.argsort(self.labels[others] != self.labels[index], kind="stable")]
        yield from (other for other in others.tolist() if other not in self._damaged)

    def _skip_damaged(self, index, reason):
        with self._lock:
            if index not in self._damaged:
                self._damaged.add(index)
                self.skipped.append((self._path(index), str(reason)))

    def _usable(self, files, folder):
        """Those of the (root, name) pairs that can be used; the others go to `skipped`."""
        if not files:
            raise InputError(f"{folder} has no image files ({' '.join(EXTENSIONS)}) to use")
        Image.init()  # loads the formats once, not in every thread
        paths = [os.path.join(*file) for file in files]
        with ThreadPoolExecutor(_THREADS) as threads:
            reasons = list(threads.map(self._reason_to_skip, paths))
        self.skipped = [pair for pair in zip(paths, reasons, strict=True) if pair[1]]
        if len(self.skipped) == len(files):
            raise InputError(
                f"none of the {len(files)} image files in {folder} can be used; "
                f"the first is {paths[0]}: {reasons[0]}"
            )
        return [file for file, reason in zip(files, reasons, strict=True) if not reason]

    def _reason_to_skip(self, path):
        try:
            width, height = inspect(path)
        except UnreadableImage as error:
            return str(error)
        if min(width, height) < self.size:
            return f"it is too small: {width} x {height} pixels for a size of {self.size}"
        return None

    def _set_classes(self, listings):
        """Number the classes of all the splits together, so that every split has them alike."""
        names = {name.split("/")[0] for files in listings for name in files if not _is_loose(name)}
        self.class_names = tuple(sorted(names))
        numbers = {name: number for number, name in enumerate(self.class_names)}
        labels = [numbers[name.split("/")[0]] for _, name in self._files]
        self.labels = np.array(labels, dtype=np.int64)


def _split_folders(folder):
    """The sub-folders that are the splits, {"train": ..., "held_out": ...}; {} without them."""
    try:
        names = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    except OSError as error:
        _stop(error)
    held_out = [folder / name for name in _HELD_OUT_NAMES if name in names]
    if held_out and "train" in names:
        return {"train": folder / "train", "held_out": held_out[0]}
    return {}


def _is_loose(name):
    """Whether an image lies in the folder itself, in no class's sub-folder."""
    return "/" not in name


def _image_files(root):
    """The image files below `root`, as sorted paths relative to it with "/" in between."""
    names, seen = [], set()
    for folder, folders, files in os.walk(root, onerror=_stop, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above leads round in circles
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name[0] != "."]
        place = "" if folder == str(root) else Path(folder).relative_to(root).as_posix() + "/"
        pictures = [n for n in files if n[0] != "." and n.lower().endswith(EXTENSIONS)]
        names += [place + name for name in pictures]
    return sorted(names)


def _stop(error):
    raise InputError(f"the folder {error.filename} cannot be listed: {error.strerror}")
