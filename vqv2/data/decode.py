"""From an image file to 8-bit grey or RGB pixels, whatever the file's format and mode are."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vqv2.errors import InputError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

# How a complete file ends, for the formats that say so.
_ENDINGS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9", "GIF": b";"}


class UnreadableImage(InputError):
    """An image file that cannot be used; the message is the reason, without the path."""


def inspect(path):
    """The (width, height) of the image file `path`, in pixels, from its header alone.

    Raises `UnreadableImage` for a file that is empty, truncated, a decompression bomb or no image.
    A file without its format's end mark may be truncated or just have something appended, so only
    such a file is decoded in full to find out.
    """
    return _guarded(_inspect, path)


def decode(path, at_least):
    """The image file `path` as a PIL image of mode "L" or "RGB"; the first frame of an animation.

    It is upright (EXIF orientation applied), transparent pixels are on white, and 16-bit grey is
    scaled to 8 bits. Colour profiles are not applied. A JPEG much larger than `at_least` pixels on
    both sides may be decoded at a half, a quarter or an eighth of its size, which is much faster.
    Raises `UnreadableImage`.
    """
    return _guarded(_decode, path, at_least)


def _guarded(read, path, *arguments):
    try:
        return read(path, *arguments)
    except UnreadableImage:
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadableImage("it is not an image in a format that can be read") from error
    except Exception as error:
        # A damaged file can make a decoder raise nearly anything: OSError, SyntaxError, KeyError,
        # struct.error, zlib.error... Any of them is about this one file and names its reason.
        raise UnreadableImage(f"it cannot be decoded ({error or type(error).__name__})") from error


def _inspect(path):
    if not Path(path).stat().st_size:
        raise UnreadableImage("the file is empty (zero bytes)")
    with Image.open(path, formats=_FORMATS) as image:
        size = image.size
        suspicious = not _is_complete(path, image.format)
    if suspicious:
        _decode(path, 1)
    return size


def _is_complete(path, file_format):
    ending = _ENDINGS.get(file_format, b"")
    with open(path, "rb") as file:
        file.seek(-len(ending), 2)
        return file.read() == ending


def _decode(path, at_least):
    with Image.open(path, formats=_FORMATS) as image:
        image.draft(None, (at_least, at_least))
        return _plain(ImageOps.exif_transpose(image))


def _plain(image):
    """A PIL image of any mode as one of mode "L" or "RGB"."""
    if image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.mode == "F":
        raise UnreadableImage("its pixels are floating-point numbers of an unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _from_16_bits(image):
    """Scale grey values 0 to 65535 to 0 to 255, rounded; PIL's own conversion would clip them."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UnreadableImage("its pixels are integers of more than 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
