"""From a picture to what training sees of it: cropped, perhaps flipped and recoloured.

A pure function of the picture, the augmentation and a seed: it does not matter which process calls
it, or when.
"""

import numpy as np
from PIL import Image

from vqv2.data.augment import NONE, recoloured
from vqv2.data.crop import square


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
