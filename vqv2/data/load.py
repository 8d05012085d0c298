"""What worker processes do: read image files, or only their headers."""

import numpy as np

from vqv2.data.crop import decoded_size
from vqv2.data.decode import UnreadableImage, decode, inspect
from vqv2.data.prepare import prepare


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
