"""Images from and to a page: files that come, PNG pictures that go."""

import base64
import io
import tempfile
from pathlib import Path

import numpy as np

from vqv2.data.picture import PictureFile
from vqv2.data.save import rounded
from vqv2.data.source import picture_of
from vqv2.errors import InputError


def data_address(image):
    """A `data:` address of the image (H, W, C), floats in [0, 1], as a PNG."""
    buffer = io.BytesIO()
    picture_of(rounded(np.clip(image, 0, 1))).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def read_image(content, hierarchy):
    """The image in the bytes of a file, cropped for a hierarchy: (H, W, C) float32 in [0, 1].

    As `vqv2 reconstruct --data FILE` reads it. Raises `InputError`.
    """
    size, _, channels = hierarchy.image_shape
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(content)
        try:
            return PictureFile(path, size, channels).batch([0])[0]
        except InputError as error:
            raise InputError(str(error).replace(str(path), "the file")) from None


def heat(values):
    """Numbers (H, W) from 0 to 1 as colours (H, W, 3): black, violet, orange, pale yellow."""
    stops = np.linspace(0, 1, len(_HEAT))
    return np.stack([np.interp(values, stops, channel) for channel in _HEAT.T], axis=-1)


_HEAT = np.array(
    [(0.04, 0.03, 0.10), (0.34, 0.09, 0.43), (0.79, 0.26, 0.31), (0.98, 0.62, 0.16), (1, 1, 0.75)]
)
