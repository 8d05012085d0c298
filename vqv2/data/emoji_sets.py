"""Emoji of other sets than OpenMoji: a folder of pictures that are named by their code points."""

import re

from PIL import Image

from vqv2.data.decode import UnreadableImage, decode
from vqv2.data.emoji_classes import has_skin_tone
from vqv2.errors import InputError

# "1f468-200d-1f680.png" as most sets have it, "emoji_u1f468_200d_1f680.png" as Noto has it.
_NAME = re.compile(r"(?:emoji_u)?([0-9a-f]{4,6}(?:[-_][0-9a-f]{4,6})*)\.png", re.IGNORECASE)
# The longer side of a picture, as a part of the image's: about as large as OpenMoji's drawings.
_PART = 7 / 8


def emoji_files(folder):
    """{code points, a tuple of int: path} of the emoji in `folder`, sorted by their code points.

    An emoji is there once, in the yellow that Unicode calls neutral: its skin tones, near copies
    that are half of a set, are left out. Files with other names are passed over. Raises
    `InputError` for a folder with no such file.
    """
    found = {}
    if folder.is_dir():
        for path in folder.iterdir():
            if name := _NAME.fullmatch(path.name):
                codes = tuple(int(code, 16) for code in re.split("[-_]", name[1]))
                if not has_skin_tone(codes):
                    found[codes] = path
    if not found:
        raise InputError(
            f"'{folder}' is not a folder of emoji: it has no file that is named by code points, "
            "such as 1f468-200d-1f680.png"
        )
    return dict(sorted(found.items()))


def open_emoji(path, size):
    """The picture in the file `path`, centred on a white PIL image of `size` x `size` pixels.

    Raises `InputError` with the path where the file cannot be decoded.
    """
    try:
        picture = decode(path, round(_PART * size))
    except UnreadableImage as error:
        raise InputError(f"{path} cannot be used: {error}") from error
    scale = _PART * size / max(picture.size)
    picture = picture.convert("RGB").resize(
        [max(1, round(side * scale)) for side in picture.size], Image.Resampling.BICUBIC
    )
    canvas = Image.new("RGB", (size, size), "white")
    canvas.paste(picture, tuple((size - side) // 2 for side in picture.size))
    return canvas
