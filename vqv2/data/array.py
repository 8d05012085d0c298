"""Images in a NumPy array, in memory or in a .npy or .npz file."""

import os
from pathlib import Path

import numpy as np

from vqv2.data.source import ImageSource, picture_of
from vqv2.data.split import split_indices, spread_indices
from vqv2.errors import InputError, MissingError
from vqv2.files import ArrayFile, archive, open_array, reading, shown
from vqv2.files.arrays import MAGIC

_CHECKED_AT_ONCE = 2**24
_MOST_CLASSES = 65536
_COMPARED = 2**28  # bytes: a fifth of a second
_REMEDY = "save the images again with numpy.save or numpy.savez, as an array of numbers"


class ArrayImages(ImageSource):
    """Images (N, H, W, C) or (N, H, W), C = 1 or 3: uint8, or floats in [0, 1].

    `data` is an array, a `.npy` file (not loaded: images are read from it when they are wanted), or
    a `.npz` file with `images` and perhaps `labels`; `labels`, int (N,), may be given with the
    first two. `size` is the images' own when None; otherwise they are resized and cropped to it.
    Floats are rounded to 8 bits when they are read. Classes are named by their numbers, "0", "1",
    ... About 5 % are held out by a hash of the image's place in the array (`vqv2.data.split`).

    Raises `InputError`, naming the file and the field, for anything else: another dtype, shape or
    number of channels, numbers out of range or not finite, images smaller than `size`, no image.
    """

    def __init__(self, data, size=None, channels=3, split="all", labels=None):
        name = "the array"
        if isinstance(data, str | os.PathLike):
            name = Path(data).name
            data, stored_labels = _load(Path(data))
            labels = stored_labels if labels is None else labels
        images = _checked_images(data, name)
        size = _natural_size(images, name) if size is None else size
        super().__init__(name, size, channels)
        height, width = images.shape[1:3]
        if min(height, width) < self.size:
            raise InputError(
                f"the images of {name} are too small: "
                f"{height} x {width} pixels for a size of {size}"
            )
        self._images = images
        self._chosen = split_indices([str(place) for place in range(len(images))], split, name)
        if labels is not None:
            labels = _checked_labels(labels, len(images), name)
            self.labels = labels[self._chosen]
            self.class_names = tuple(str(number) for number in range(labels.max() + 1))

    def __len__(self):
        return len(self._chosen)

    def image_name(self, index):
        """Its place in the whole array."""
        return str(self._chosen[index])

    def _what_it_holds(self):
        """Of an array beyond `_COMPARED` bytes, that many of images spread over it."""
        shape = self._images.shape
        yield str((self._images.dtype.str, shape if len(shape) == 4 else (*shape, 1))).encode()
        compared = max(1, _COMPARED // self._images[0].nbytes)
        for place in self._chosen[spread_indices(len(self), compared)]:
            yield np.ascontiguousarray(self._images[place])

    def _picture(self, index):
        pixels = self._images[self._chosen[index]]
        if pixels.dtype != np.uint8:
            pixels = np.rint(pixels * 255).astype(np.uint8)
        return picture_of(pixels.reshape(*pixels.shape[:2], -1))


def _load(path):
    """The images and the labels (None without) in a .npy or .npz file, not checked yet."""
    try:
        if path.suffix.lower() == ".npy":
            return open_array(path, _REMEDY), None
        with reading(path, _REMEDY) as file:
            if file.read(len(MAGIC)) == MAGIC:
                raise InputError(f"{path} is a single array: name it .npy")
        with archive(path, _REMEDY) as found:
            return _fields(found, path)
    except MissingError:
        raise MissingError(f"there is no file {path}: give a .npy or .npz file of images") from None


def _fields(found, path):
    if "images" not in found.names or not {"images", "labels"}.issuperset(found.names):
        names = ", ".join(map(shown, found.names[:10])) or "(none)"
        raise InputError(
            f"{path} has the fields {names}: it must have 'images' and may have 'labels', nothing "
            "else"
        )
    return found.read("images"), found.read("labels") if "labels" in found.names else None


def _checked_images(images, name):
    """The images, after making sure that they can be used as they are."""
    images = images if isinstance(images, np.ndarray | ArrayFile) else np.asarray(images)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(
            f"the images of {name} are {images.dtype}: give uint8, or floats from 0 to 1 (divide "
            "by the number that means white, 4095 for 12 bits)"
        )
    shape = images.shape
    if len(shape) not in (3, 4) or len(shape) == 4 and shape[-1] not in (1, 3):
        raise InputError(
            f"the images of {name} have the shape {shape}: "
            "it must be (N, H, W), (N, H, W, 1) or (N, H, W, 3), with the channels last"
        )
    if 0 in shape:
        raise InputError(f"the images of {name} have the shape {shape}: there are none")
    if images.dtype.kind == "f":
        _check_range(images, name)
    return images


def _check_range(images, name):
    """Look at all numbers, a part at a time, as the array may be larger than the memory."""
    step = max(1, _CHECKED_AT_ONCE // images[0].size)
    for start in range(0, len(images), step):
        part = images[start : start + step]
        good = (part >= 0) & (part <= 1)  # False for NaN, too
        if not good.all():
            place = np.argwhere(~good)[0]
            where = ", ".join(str(i) for i in (place[0] + start, *place[1:]))
            raise InputError(
                f"the images of {name} have the value {part[tuple(place)]} at [{where}]: "
                "floats must be from 0 to 1, and finite"
            )


def _natural_size(images, name):
    height, width = images.shape[1:3]
    if height != width:
        raise InputError(f"the images of {name} are {height} x {width}, not square: give a size")
    return height


def _checked_labels(labels, count, name):
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise InputError(
            f"the labels of {name} are {labels.dtype} of shape {labels.shape}: "
            f"give integers of shape ({count},), one for each image"
        )
    if labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        raise InputError(
            f"the labels of {name} go from {labels.min()} to {labels.max()}: "
            f"classes are counted from 0 and are fewer than {_MOST_CLASSES}"
        )
    return labels.astype(np.int64)
