"""What every source of images can do: say what it holds, read one image, make a batch."""

import numpy as np
from PIL import Image

from vqv2.data.augment import NONE, augment
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

    A subclass gives `__len__` and `_picture`.
    """

    def __init__(self, name, size, channels, class_names=(), labels=None):
        if not isinstance(size, int | np.integer) or size < 1:
            raise InputError(f"the size of {name} is {size!r}: give a number of pixels, 1 or more")
        if channels not in (1, 3):
            raise InputError(f"{channels} channels were asked of {name}: give 1 (grey) or 3 (RGB)")
        self.name = name
        self.size = int(size)
        self.channels = channels
        self.class_names = tuple(class_names)
        self.labels = None if labels is None else np.asarray(labels, dtype=np.int64)
        self.skipped = []

    def __len__(self):
        raise NotImplementedError

    def _picture(self, index):
        """Image `index` as a PIL image of mode "L" or "RGB", both sides at least `size`."""
        raise NotImplementedError

    def read(self, index):
        """Image `index`, cropped at its centre: uint8 (size, size, channels)."""
        return self._cropped(index, None)

    def batch(self, indices, augmentation=None, rng=None, share=None):
        """Images `indices`, any sequence of int: float32 (N, size, size, channels) in [0, 1].

        Without an `augmentation` (`vqv2.data.augment`) they are what `read` gives, over 255. With
        one, `rng`, a `numpy.random.Generator`, makes the choices: the same generator state gives
        the same batch. With a `share`, a slice, only that part of the batch is read and returned,
        changed as it would be in the whole.
        """
        augmentation = augmentation or NONE
        if augmentation != NONE and rng is None:
            raise InputError("an augmented batch needs `rng`, a numpy.random.Generator")
        share, count = share or slice(None), len(indices)
        # All draws are made here, in order, so that images may be read in any order.
        draws = [None] * count
        if augmentation.random_crop:
            draws = rng.random((count, 2))
        indices, draws = indices[share], draws[share]
        images = np.empty((len(indices), self.size, self.size, self.channels), np.float32)
        for slot, pixels in zip(images, self._crops(indices, draws), strict=True):
            slot[...] = pixels
        images /= 255
        return images if augmentation == NONE else augment(images, augmentation, rng, share, count)

    def _crops(self, indices, draws):
        return map(self._cropped, indices, draws)

    def _cropped(self, index, draw):
        picture = square(self._picture(index), self.size, draw)
        pixels = np.asarray(picture.convert("L" if self.channels == 1 else "RGB"))
        return pixels.reshape(self.size, self.size, self.channels)


def picture_of(pixels):
    """A PIL image, mode "L" or "RGB", of uint8 pixels (H, W, 1) or (H, W, 3)."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
