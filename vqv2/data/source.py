"""What every source of images can do: say what it holds, read one image, make a batch.

`prepare` makes of a picture what training sees: a pure function of the picture, the augmentation
and a seed, so that it does not matter which process calls it, or when.
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image

from vqv2.data.augment import NONE, Augmentation, recoloured
from vqv2.data.crop import square
from vqv2.errors import InputError


class ImageSource:
    """Square images of one size, with or without class labels; a base class.

    name         what to call it in reports
    size         height and width, in pixels
    channels     1 (greyscale) or 3 (RGB)
    class_names  tuple of str; empty when there are no labels
    labels       int64 (N,), places in `class_names`; None when there are no labels
    skipped      list of (path, reason): the files that were found but cannot be used
    remarks      list of sentences on what is odd about the whole

    A subclass gives `__len__`, `_picture` and `_what_it_holds`, and another `_crop` where it has a
    better one.
    """

    def __init__(
        self,
        name: str,
        size: int,
        channels: int,
        class_names: Sequence[str] = (),
        labels: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        if not isinstance(size, int | np.integer) or size < 1:
            raise InputError(f"the size of {name} is {size!r}: give a number of pixels, 1 or more")
        if channels not in (1, 3):
            raise InputError(f"{channels} channels were asked of {name}: give 1 (grey) or 3 (RGB)")
        self.name = name
        self.size = int(size)
        self.channels = channels
        self.class_names = tuple(class_names)
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self.skipped: list[tuple[str, str]] = []
        self.remarks: list[str] = []

    def __len__(self):
        raise NotImplementedError

    def _picture(self, index):
        """Image `index` as a PIL image of mode "L" or "RGB", both sides at least `size`."""
        raise NotImplementedError

    def _crop(self, picture, size, draw=None):
        """As `vqv2.data.crop.square`."""
        return square(picture, size, draw)

    @functools.cached_property
    def identity(self) -> str:
        """What tells these images and labels from others: SHA-256, hexadecimal.

        It does not depend on what the data is called and where it is, so that data that was moved
        or copied is the same.
        """
        digest = hashlib.sha256()
        labels = () if self.labels is None else (np.ascontiguousarray(self.labels),)
        about = repr((len(self), self.class_names)).encode()
        for held in (about, *labels, *self._what_it_holds()):
            part = memoryview(held)
            digest.update(part.nbytes.to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()

    def _what_it_holds(self):
        """An iterable of bytes, or of contiguous arrays, that other images would differ in."""
        raise NotImplementedError

    def image_name(self, index: int) -> str:
        """What image `index` is called: where it is in the data."""
        return str(index)

    def readers(self, augmentation: Augmentation = NONE) -> str:
        """Who reads the images for batches with an augmentation, in words."""
        return "this process"

    def check_augmentation(self, augmentation: Augmentation) -> None:
        """Raise `InputError` where batches with this augmentation cannot be read."""

    def read(self, index: int) -> np.ndarray:
        """Image `index`, cropped at its centre: uint8 (size, size, channels)."""
        return prepare(self._picture(index), self.size, self.channels, crop=self._crop)

    def batch(
        self,
        indices: Sequence[int] | np.ndarray,
        augmentation: Augmentation = NONE,
        rng: Generator | None = None,
        share: slice = slice(None),
    ) -> np.ndarray:
        """Images `indices`, any sequence of int: float32 (N, size, size, channels) in [0, 1].

        Without an `augmentation` (`vqv2.data.augment`) they are what `read` gives, over 255. With
        one, `rng`, a `numpy.random.Generator`, makes the choices: the same generator state gives
        the same batch. `share`, a slice, reads only these places of the batch: what several
        processes read of one batch is together, to the last bit, what one of them would. Raises
        `InputError` for an augmentation without `rng`, and when no image can be read any more.
        """
        augmentation = augmentation or NONE
        seeds = [None] * len(indices)
        if augmentation != NONE:
            if rng is None:
                raise InputError("an augmented batch needs `rng`, a numpy.random.Generator")
            # One seed for each image is drawn here, so that images may be prepared in any order.
            seeds = rng.integers(2**63, size=len(indices)).tolist()
        indices, seeds = indices[share], seeds[share]
        images = np.empty((len(indices), self.size, self.size, self.channels), np.float32)
        prepared = self._prepared(list(map(int, indices)), augmentation, seeds)
        for slot, pixels in zip(images, prepared, strict=True):
            scaled(pixels, out=slot)
        return images

    def _prepared(self, indices, augmentation, seeds):
        """An iterator over what `prepare` makes of each image."""
        for index, seed in zip(indices, seeds, strict=True):
            picture = self._picture(index)
            yield prepare(picture, self.size, self.channels, augmentation, seed, self._crop)


def picture_of(pixels: np.ndarray) -> Image.Image:
    """A PIL image, mode "L" or "RGB", of uint8 pixels (H, W, 1) or (H, W, 3)."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def prepare(picture, size, channels, augmentation=NONE, seed=None, crop=square):
    """A picture, both sides at least `size`, as (size, size, channels).

    uint8, and float32 in [0, 1] only where the augmentation recolours: three quarters less to carry
    from one process to another. `seed`, an int, decides what the augmentation leaves to chance;
    without an augmentation there is nothing to decide. `crop` is called as
    `vqv2.data.crop.square` is; the picture is whatever that takes, and what it returns a PIL image
    or uint8 (size, size, 1 or 3).
    """
    if augmentation == NONE:
        return _pixels(crop(picture, size), channels)
    # Drawn whether they are used or not: one part of an augmentation does not change another.
    rng = np.random.default_rng(seed)
    place, turned = rng.random(2), rng.random() < 0.5
    picture = crop(picture, size, place if augmentation.random_crop else None)
    pixels = _pixels(picture, channels)
    if turned and augmentation.horizontal_flip:
        pixels = _mirrored(pixels)
    return recoloured(scaled(pixels), augmentation, rng) if augmentation.recolours else pixels


def _pixels(picture, channels):
    """A PIL image, or uint8 (H, W) or (H, W, 1 or 3), as uint8 (H, W, channels)."""
    pixels = np.asarray(picture)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def _mirrored(pixels):
    """A copy with left and right exchanged; NumPy is slow where it copies a few bytes at a time."""
    copy = np.empty(pixels.shape, pixels.dtype)
    for channel in range(pixels.shape[-1]):
        copy[..., channel] = pixels[:, ::-1, channel]
    return copy


def scaled(pixels, out=None):
    """Pixels as float32 in [0, 1], in `out` if given: uint8 over 255, others are so already."""
    if pixels.dtype == np.uint8:
        return np.divide(np.ascontiguousarray(pixels), 255, out=out, dtype=np.float32)
    if out is None:
        return pixels
    out[...] = pixels
    return out
