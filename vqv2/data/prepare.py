"""From a picture to what training sees of it: cropped, perhaps flipped and recoloured.

A pure function of the picture, the augmentation and a seed: it does not matter which process calls
it, or when.
"""

import numpy as np

from vqv2.data.augment import NONE, recoloured
from vqv2.data.crop import square


def prepare(picture, size, channels, augmentation=NONE, seed=None, crop=square):
    """A PIL image, both sides at least `size`, as (size, size, channels).

    uint8, and float32 in [0, 1] only where the augmentation recolours: three quarters less to carry
    from one process to another. `seed`, an int, decides what the augmentation leaves to chance;
    without an augmentation there is nothing to decide. `crop` is called as
    `vqv2.data.crop.square` is.
    """
    if augmentation == NONE:
        return _pixels(crop(picture, size), channels)
    # Drawn whether they are used or not: one part of an augmentation does not change another.
    rng = np.random.default_rng(seed)
    place, turned = rng.random(2), rng.random() < 0.5
    picture = crop(picture, size, place if augmentation.random_crop else None)
    pixels = _pixels(picture, channels)
    if turned and augmentation.horizontal_flip:
        pixels = pixels[:, ::-1]
    return recoloured(scaled(pixels), augmentation, rng) if augmentation.recolours else pixels


def _pixels(picture, channels):
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def scaled(pixels):
    """Pixels as float32 in [0, 1]: uint8 are divided by 255, others are so already."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels
