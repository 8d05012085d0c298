"""What worker processes do: read image files, or only their headers."""

import os

import numpy as np

from vqv2.data.crop import decoded_size, resized, square
from vqv2.data.decode import UnreadableImage, decode, inspect
from vqv2.data.source import prepare
from vqv2.errors import InputError


def load_image(path, size, channels, augmentation, seed, bits=None):
    """What `prepare` makes of an image file, or the `UnreadableImage` that says why it cannot.

    `bits` as in `vqv2.data.decode.decode`.
    """
    try:
        picture = decode(path, decoded_size(size), bits)
        return np.ascontiguousarray(prepare(picture, size, channels, augmentation, seed))
    except UnreadableImage as error:
        return error


def inspect_files(paths):
    """[what is `Found` in each file, or the reason, text, why it cannot be used]."""
    results = []
    for path in paths:
        try:
            results.append(inspect(path))
        except UnreadableImage as error:
            results.append(str(error))
    return results


def resized_for_crops(path, size, random_crop, bits, length):
    """[pixels to be cropped, uint8 (H, W, 1 or 3), by rendition] of an image file.

    It is as `vqv2.data.shard.write_shard` takes it. Without `random_crop` they have been cropped at
    the centre. An `UnreadableImage` says why there are none. Raises `InputError` where the file
    does not have `length` bytes any more.
    """
    try:
        picture = decode(path, decoded_size(size), bits)
    except UnreadableImage as error:
        picture = error
    if _length(path) != length:  # nor is a whole disk that is gone a damaged file
        raise InputError(
            f"{path} has changed, or is gone, since its folder was listed: put back what was there"
        )
    if isinstance(picture, UnreadableImage):
        return picture
    if not random_crop:
        return [_pixels(square(picture, size))]
    renditions = [resized(picture, size), resized(picture, size, for_random_crop=True)]
    same = renditions[0].size == renditions[1].size
    return [_pixels(one) for one in renditions[: 1 if same else 2]]


def _pixels(picture):
    pixels = np.asarray(picture)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1))


def _length(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None
