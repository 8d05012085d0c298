"""The emoji font: each sequence is one character, drawn right by a Pillow without libraries."""

import io

import numpy as np
import pytest
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageDraw, ImageFont, features

from vqv2.data.emoji import EmojiImages, _package
from vqv2.data.emoji_font import emoji_font
from vqv2.errors import InputError

LIGATURES = """
lookup pairs {flag} {{ sub a b by a_b; sub a b b by a_b_b; }} pairs;
feature ccmp {{ lookup pairs; }} ccmp;
"""
WIDTHS = {".notdef": 900, "a": 100, "b": 200, "a_b": 300, "a_b_b": 400}


@pytest.fixture(scope="module")
def everything():
    return EmojiImages(32)


def block(width):
    """A glyph that is a block `width` units wide."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 500), (width, 500), (width, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def small_font(path, flag=""):
    """Write a font whose glyphs are blocks of `WIDTHS`, with ligatures of a and b."""
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(list(WIDTHS))
    builder.setupCharacterMap({ord("a"): "a", ord("b"): "b"})
    builder.setupGlyf({name: block(width) for name, width in WIDTHS.items()})
    builder.setupHorizontalMetrics({name: (width, 0) for name, width in WIDTHS.items()})
    builder.setupHorizontalHeader(ascent=500, descent=0)
    builder.setupPost()
    addOpenTypeFeaturesFromString(builder.font, LIGATURES.format(flag=flag))
    builder.save(path)
    return path


def drawn_widths(font, text):
    return [font.getmask(character).getbbox()[2] for character in text]


@pytest.mark.parametrize("flag", ["", "useExtension"])
def test_each_sequence_is_the_glyph_of_its_ligature(tmp_path, flag):
    path = small_font(tmp_path / "blocks.ttf", flag)
    sequences = [tuple(map(ord, text)) for text in ("abb", "b", "ab", "a")]
    font, characters = emoji_font(path, sequences, 1000)
    assert drawn_widths(font, characters) == [400, 200, 300, 100]


@pytest.mark.parametrize("text", ["ba", "c", "ac"])
def test_a_sequence_without_a_glyph_is_named(tmp_path, text):
    path = small_font(tmp_path / "blocks.ttf")
    missing = " ".join(f"U.{ord(letter):04X}" for letter in text)
    with pytest.raises(InputError, match=f"blocks.ttf has no glyph for the emoji {missing}: pip"):
        emoji_font(path, [tuple(map(ord, text))], 100)


def test_no_emoji_is_drawn_as_the_glyph_of_what_is_missing(everything):
    font, characters = everything._font, everything._characters
    missing = bytes(font.getmask("A"))
    assert any(missing)
    assert len(characters) == len(everything) == len(set(characters))
    assert all(bytes(font.getmask(character)) != missing for character in characters)


def test_emoji_are_drawn_where_raqm_is_absent(monkeypatch):
    def refuse(*_):
        raise AssertionError("no library for layout may be asked for")

    monkeypatch.setattr(features, "check", refuse)
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    source = EmojiImages(32)
    assert source._font.layout_engine == ImageFont.Layout.BASIC
    assert source.read(0).min() < 255


@pytest.mark.skipif(not features.check("raqm"), reason="this Pillow does not find Raqm")
def test_emoji_are_what_raqm_lays_out(everything):
    font_file, sequences = _package()
    points = everything._font.size
    laid_out = ImageFont.truetype(
        io.BytesIO(font_file.read_bytes()), points, layout_engine=ImageFont.Layout.RAQM
    )
    for index in range(0, len(sequences), 25):
        text = "".join(map(chr, sequences[index]))
        np.testing.assert_array_equal(
            drawing(laid_out, text), drawing(everything._font, everything._characters[index])
        )


def drawing(font, text):
    """The pixels of `text` in colour, on a white image."""
    canvas = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((32, 32), text, fill="black", font=font, anchor="mm", embedded_color=True)
    return np.asarray(canvas)
