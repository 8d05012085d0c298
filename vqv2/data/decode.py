"""From an image file to 8-bit grey or RGB pixels, whatever the file's format and mode are."""

from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vqv2.data.depth import is_deep, picture_of_deep, undeclared_bits
from vqv2.data.formats import formats_of
from vqv2.data.headers import (
    READS_OF_PIXELS,
    BoundedFile,
    BusyDecoder,
    exif_problem,
    is_complete,
    is_tiff,
    problem,
)
from vqv2.errors import InputError
from vqv2.files import NotAFile, open_regular

_REDUCIBLE = ("JPEG", "MPO")  # by the decoder itself, at a fraction of the time
_LARGEST_REDUCTION = 8
_FEW_PIXELS = 2**25  # are decoded whatever the size asked for: a quarter of a second, 130 MB
_MOST_TIMES = 32  # as long and as wide as asked for, beyond that
# What Pillow can convert; L*a*b* and floats have no range, or none that it knows.
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_ORIENTATION = ExifTags.Base.Orientation


class UnreadableImage(InputError):
    """An image file that cannot be used; the message is the reason, without the path."""


class Found(NamedTuple):
    """What `inspect` finds out.

    width, height  in pixels
    bits           what the largest value needs, where it is of more than 8 bits and the file does
                   not say what its white is; otherwise 0
    reducible      whether the decoder itself can make the image smaller
    """

    width: int
    height: int
    bits: int
    reducible: bool


def inspect(path):
    """What is `Found` in the image file `path`, in general from its header alone.

    Raises `UnreadableImage` for a file that is empty, truncated, a decompression bomb, no image, or
    of a kind that `decode` refuses. Two kinds of files are decoded in full to find out: those
    without their format's end mark, which may be truncated or just have something appended, and
    those of more than 8 bits, for their largest value.
    """
    return _guarded(_inspect, path)


def decode(path, at_least, bits=None):
    """The image file `path` as a PIL image of mode "L" or "RGB"; the first frame of an animation.

    It is upright (EXIF orientation applied), transparent pixels are on white, and 16-bit samples
    are scaled to 8 bits (`vqv2.data.depth`, where `bits` is explained). Colour profiles are not
    applied. A JPEG much larger than `at_least` pixels on both sides may be
    decoded at a half, a quarter or an eighth of its size, which is much faster. Raises
    `UnreadableImage`, also for more pixels than `most_pixels(at_least)`.
    """
    return _guarded(_decode, path, at_least, bits)


def most_pixels(at_least):
    """How many pixels are decoded, at most, when `at_least` so many are wanted on each side."""
    return max(_FEW_PIXELS, (_MOST_TIMES * at_least) ** 2)


def decoded_pixels(width, height, reducible, at_least):
    """How many pixels a decoder makes, arrays of int64 (N,), when it reduces where it can."""
    scale = np.minimum(width, height) // at_least
    largest = np.where(reducible, _LARGEST_REDUCTION, 1)
    reduction = 2 ** np.log2(np.clip(scale, 1, largest)).astype(np.int64)
    return -(-width // reduction) * -(-height // reduction)


def too_many_pixels(width, height, at_least):
    """The reason why an image of this shape is not decoded."""
    return (
        f"it is too large: {width} x {height} pixels, when at most {most_pixels(at_least)} are "
        "decoded for the size asked for; make it smaller"
    )


def _guarded(read, path, *arguments):
    try:
        with open_regular(path) as file:
            if reason := problem(file):
                raise UnreadableImage(reason)
            return read(path, file, *arguments)
    except UnreadableImage:
        raise
    except (NotAFile, BusyDecoder) as error:
        raise UnreadableImage(str(error)) from None
    except OSError as error:
        # Pillow's own have no number: they say what is wrong with the contents.
        if error.errno is None:
            raise UnreadableImage(f"it cannot be decoded ({error})") from error
        raise UnreadableImage(f"it cannot be read ({error.strerror})") from error
    except Exception as error:
        # A damaged file can make a decoder raise nearly anything: SyntaxError, KeyError,
        # struct.error, zlib.error... Any of them is about this one file and names its reason.
        raise UnreadableImage(f"it cannot be decoded ({error or type(error).__name__})") from error


def _inspect(path, file):
    with _opened(path, file) as image:
        (width, height), file_format = image.size, image.format
        _check_mode(image)
        bits = undeclared_bits(image, file) if is_deep(image) else 0
    if not is_complete(file, file_format):
        with _opened(path, file) as image:
            image.draft(None, (1, 1))
            image.load()
    return Found(width, height, bits, file_format in _REDUCIBLE)


def _opened(path, file):
    """The PIL image in an open file. Pillow gets no path, so it maps nothing into memory."""
    file.seek(0)
    bounded = BoundedFile(file)
    try:
        image = Image.open(bounded, formats=formats_of(path))
        bounded.left = READS_OF_PIXELS
        return image
    except Image.UnidentifiedImageError as error:
        if is_tiff(file):
            raise UnreadableImage(
                "it is a TIFF that is damaged, or of a kind of pixels that is not read: save it "
                "with 8 or 16 bits"
            ) from error
        raise UnreadableImage("it is not an image in a format that can be read") from error


def _check_mode(image):
    if image.mode == "F":
        raise UnreadableImage("its pixels are floating-point numbers of an unknown range")
    if image.mode not in _MODES and not image.mode.startswith("I"):
        raise UnreadableImage(f"its colours are given as {image.mode}: convert it to RGB")


def _decode(path, file, at_least, bits=None):
    with _opened(path, file) as image:
        _check_mode(image)
        image.draft(None, (at_least, at_least))
        if image.width * image.height > most_pixels(at_least):
            raise UnreadableImage(too_many_pixels(*image.size, at_least))
        picture = picture_of_deep(image, file, bits) if is_deep(image) else image
        image.load()  # some formats say only after the pixels how the image has to be turned
        if reason := exif_problem(image.info.get("exif", b"")):
            raise UnreadableImage(reason)
        if picture is not image:
            picture.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
        ImageOps.exif_transpose(picture, in_place=True)
        return _plain(picture)


def _plain(image):
    """A PIL image of any of `_MODES` as one of mode "L" or "RGB"."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)
