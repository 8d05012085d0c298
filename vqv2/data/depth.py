"""Images of more than 8 bits: what their largest value means, and how they become 8 bits.

Files of 16 bits often hold numbers of 10, 12 or 14: black pictures, if they are taken for 16. So a
file that does not say what its white is has to fill its range, or its owner has to say how many
bits there are (`vqv2.data.images`): that is never guessed from a single image.

What files say themselves: a TIFF by BitsPerSample and SMaxSampleValue (its MaxSampleValue is only
the largest value that occurs), a PNG by its chunk sBIT. That one means values that were scaled up
to 16 bits, so that the lower bits are zero or repeat the upper ones; where they are neither, the
values were not scaled. A PGM and a JPEG 2000 always say it, and Pillow scales them: but the whole
range of 16 bits is what programs write there that know of none.
"""

import sys

import numpy as np
from PIL import Image, ImageOps

from vqv2.data.headers import jpeg2000_bits, png_significant_bits

FULL = 16  # bits
WHITE = 2**FULL - 1
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_MAXIMUM = 258, 262, 341  # tags of a TIFF
_WHITE_IS_ZERO = 0
_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER_BYTE = {"L": "B", "B": "L", "N": "B" if _NATIVE == "L" else "L"}


def is_deep(image):
    """Whether an opened PIL image, not loaded yet, has samples of more than 8 bits."""
    return image.mode.startswith("I") or _is_colour(image)


def undeclared_bits(image, file):
    """How many bits the largest value of a deep image needs; 0 for one that says its range.

    `file` is the open file that the PIL image was opened from. Raises `ValueError` for numbers of
    more than 16 bits.
    """
    declared, significant = _declared(image, file)
    if declared or significant:
        return 0
    if not _is_colour(image):
        return int(_grey_values(image).max()).bit_length()
    highest = np.asarray(image)[..., :3].max()  # of the upper 8 bits, which is what Pillow gives
    return 8 + int(highest).bit_length()


def picture_of_deep(image, file, bits=None):
    """A deep image as a PIL image of 8 bits; `bits` (16) is for one that does not say its range.

    Raises `ValueError` for values beyond the range.
    """
    declared, significant = _declared(image, file)
    largest = declared or 2 ** (bits or FULL) - 1
    if not _is_colour(image):
        values = _grey_values(image)
    elif largest == WHITE and not significant:
        return image  # its upper 8 bits are what there is to have
    else:
        values = _colour_values(image, file)
    if significant:
        largest = _meant_by(values[..., :3] if values.ndim == 3 else values, significant)
    picture = _to_8_bits(values, largest)
    return ImageOps.invert(picture) if _is_negative(image) else picture


def _is_negative(image):
    """Whether black is the largest value: of a grey TIFF, which Pillow inverts up to 8 bits."""
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _is_colour(image):
    return image.mode in ("RGB", "RGBA", "CMYK") and any(";16" in _raw(t) for t in image.tile)


def _raw(tile):
    """Pillow's name for how samples lie in a file."""
    return str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0])


def _declared(image, file):
    """(largest value or None, significant bits of a PNG's values or None): what the file says."""
    if image.format == "PPM":
        return (None if _pnm_maximum(image) == WHITE else WHITE), None
    if image.format == "JPEG2000":
        return (None if jpeg2000_bits(file) == FULL else WHITE), None
    if image.format == "PNG":
        return None, png_significant_bits(file)
    if image.format != "TIFF":
        return None, None
    bits = min(image.tag_v2.get(_BITS_PER_SAMPLE, (FULL,)))
    white = image.tag_v2.get(_SAMPLE_MAXIMUM)
    white = min(white) if isinstance(white, tuple) else white
    if white and 0 < white <= WHITE:
        return int(white), None
    return (2**bits - 1 if bits < FULL else None), None


def _pnm_maximum(image):
    args = image.tile[0].args
    return WHITE if isinstance(args, str) else args[1]  # Pillow has a decoder for just that one


def _grey_values(image):
    values = np.asarray(image)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > WHITE:
        raise ValueError(
            f"its pixels are integers from {lowest} to {highest}: {FULL} bits are from 0 to {WHITE}"
        )
    return values.astype(np.uint16)


def _colour_values(image, file):
    """uint16 (H, W, 3 or 4) of an image of which Pillow gives one byte of each sample at a time."""
    if image.mode == "CMYK":
        raise ValueError("of CMYK only the whole range of 16 bits is understood")
    if _raw(image.tile[0]) == "LA;16B":
        return _grey_and_alpha(image)
    upper = np.asarray(image).astype(np.uint16)
    file.seek(0)
    with Image.open(file, formats=(image.format,)) as again:
        again.tile = [tile._replace(args=_args(tile, _other_byte(tile))) for tile in again.tile]
        return upper << 8 | np.asarray(again)


def _grey_and_alpha(image):
    """As four samples of 8 bits, Pillow gives grey's and alpha's two bytes each."""
    image.tile = [tile._replace(args=_args(tile, "RGBA")) for tile in image.tile]
    pairs = np.asarray(image).astype(np.uint16)
    grey, alpha = (pairs[..., place] << 8 | pairs[..., place + 1] for place in (0, 2))
    return np.stack((grey, grey, grey, alpha), -1)


def _other_byte(tile):
    raw = _raw(tile)
    return raw[:-1] + _OTHER_BYTE[raw[-1]]


def _args(tile, raw):
    return raw if isinstance(tile.args, str) else (raw, *tile.args[1:])


def _meant_by(values, significant):
    """The largest possible value of a PNG's, of which so many bits are significant."""
    spare = FULL - significant
    if not 0 < spare <= significant or values.max() >= 2**significant:
        return WHITE
    low, repeated = values & (2**spare - 1), values >> significant
    scaled = np.all((low == 0) | (low == repeated))
    return WHITE if scaled else 2**significant - 1


def _to_8_bits(values, largest):
    """Values of 16 bits, of which `largest` is white, as a PIL image of 8 bits, rounded."""
    colours = values[..., :3] if values.ndim == 3 else values
    if colours.max() > largest:
        raise ValueError(f"it has the value {colours.max()}, but its white is {largest}")
    levels = (np.arange(WHITE + 1, dtype=np.int64) * 255 + largest // 2) // largest
    pixels = np.minimum(levels, 255).astype(np.uint8)[values]
    if values.shape[2:] == (4,):
        pixels[..., 3] = values[..., 3] >> 8
    return Image.fromarray(pixels)
