"""From a picture to what training sees of it: cropped, perhaps flipped and recoloured.

A pure function of the picture, the augmentation and a seed: it does not matter which process calls
it, or when.
"""

import numpy as np

from vqv2.data.augment import NONE, mirrored, recoloured
from vqv2.data.crop import square


def prepare(picture, size, channels, augmentation=NONE, seed=None, crop=square):
    """A PIL image, both sides at least `size`, as (size, size, channels).

    uint8, and float32 in [0, 1] only where the augmentation recolours: three quarters less to carry
    from one process to another. `seed`, an int, decides what the augmentation leaves to chance;
    without an augmentation there is nothing to decide. `crop` is called as
    `vqv2.data.crop.square` is.
    """
    rng = None if augmentation == NONE else np.random.default_rng(seed)
    draw = rng.random(2) if augmentation.random_crop else None
    picture = crop(picture, size, draw)
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    pixels = mirrored(pixels.reshape(size, size, channels), augmentation, rng)
    if augmentation.recolours:
        return recoloured(scaled(pixels), augmentation, rng)
    return pixels


def scaled(pixels):
    """Pixels as float32 in [0, 1]: uint8 are divided by 255, others are so already."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels
