"""Emoji of other sets: found by their names, split with OpenMoji's, drawn alike."""

import numpy as np
import pytest
from PIL import Image

from vqv2.data.emoji import EmojiImages
from vqv2.data.emoji_classes import variant_key
from vqv2.data.images import absolute_data, open_images
from vqv2.errors import InputError

GRIN, ASTRONAUT, DARK = "1f600", "1f468-200d-1f680", "1f468-1f3ff-200d-1f680"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of a wide red picture on a transparent ground for each of OpenMoji's emoji."""
    folder = tmp_path_factory.mktemp("sets") / "red"
    folder.mkdir()
    picture = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 5, 40, 15))
    every = EmojiImages(32)
    for index in range(0, len(every), 9):
        picture.save(folder / f"{every.image_name(index).lower()}.png")
    for name in (f"emoji_u{ASTRONAUT.replace('-', '_')}", DARK, GRIN, "readme"):
        picture.save(folder / f"{name}.png")
    return folder


def test_other_sets_follow_openmoji_with_the_same_classes_and_sides(folder):
    splits = ("train", "held_out")
    parts = {split: open_images(f"emoji:32+{folder}", 32, split=split) for split in splits}
    alone = {split: EmojiImages(32, split=split) for split in splits}
    keys = {}
    for split, source in parts.items():
        count = len(alone[split])
        assert len(source) > count
        np.testing.assert_array_equal(source.read(7), alone[split].read(7))
        np.testing.assert_array_equal(source.labels[:count], alone[split].labels)
        keys[split] = {variant_key(source.code_points(i)) for i in range(len(source))}
    assert not keys["train"] & keys["held_out"]
    assert parts["train"].identity != alone["train"].identity
    assert parts["train"].name == "emoji:32+red"


def test_names_that_are_code_points_are_found_and_skin_tones_left_out(folder):
    source = EmojiImages(32, sets=[folder])
    of_set = {source.image_name(i) for i in range(4495, len(source))}
    assert {"red/1F600", "red/1F468-200D-1F680"} <= of_set
    assert not any("1F3FF" in name for name in of_set)


def test_a_picture_is_centred_on_white_and_fills_seven_eighths(folder):
    source = EmojiImages(64, sets=[folder])
    image = source.read(len(source) - 1)
    red = (image < 128).any(axis=2)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    assert (columns[0], columns[-1]) == (4, 59) and (rows[0], rows[-1]) == (25, 38)
    assert (image[0] == 255).all()


def test_the_folders_are_found_from_anywhere(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert absolute_data("emoji:32+red") == f"emoji:32+{folder.resolve()}"
    assert absolute_data("emoji:32") == "emoji:32" and absolute_data("emoji") == "emoji"


def test_what_is_no_set_is_refused_with_its_name(tmp_path):
    with pytest.raises(InputError, match="missing' is not a folder of emoji"):
        EmojiImages(32, sets=[tmp_path / "missing"])
    (tmp_path / "1f600.png").write_bytes(b"no picture")
    source = EmojiImages(32, sets=[tmp_path])
    with pytest.raises(InputError, match="1f600.png cannot be used"):
        source.read(len(source) - 1)
