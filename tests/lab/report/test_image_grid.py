"""A grid shows every pixel as it is, in its place, and refuses what it cannot show."""

import os

import numpy as np
import pytest
from PIL import Image

from vqv2.errors import InputError
from vqv2.pictures import save_image_grid


@pytest.fixture
def path(tmp_path):
    return tmp_path / "grid.png"


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def positions(picture, block):
    """Every (top, left) at which `block` occurs in `picture`."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, block.shape)
    return [tuple(at[:2]) for at in np.argwhere((windows == block).all(axis=(3, 4, 5)))]


def random_rows(*shapes):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 200, shape) / 255 for shape in shapes]


def test_every_image_is_found_pixel_for_pixel_in_its_row_and_column(path):
    rows = random_rows((3, 6, 4, 3), (2, 6, 4, 3))
    save_image_grid(path, rows)
    picture = pixels(path)
    found = [
        [positions(picture, np.rint(image * 255).astype(np.uint8)) for image in row] for row in rows
    ]
    assert all(len(places) == 1 for row in found for places in row)
    tops = [{places[0][0] for places in row} for row in found]
    lefts = [[places[0][1] for places in row] for row in found]
    assert [len(top) for top in tops] == [1, 1]
    assert max(tops[0]) + 6 < min(tops[1])
    assert lefts[0][:2] == lefts[1]
    assert lefts[0] == sorted(lefts[0])
    assert lefts[0][0] + 4 < lefts[0][1]


def test_scale_makes_a_square_of_every_pixel(path):
    rows = random_rows((1, 3, 2, 3))
    save_image_grid(path, rows, scale=5)
    block = np.rint(rows[0][0] * 255).astype(np.uint8)
    assert len(positions(pixels(path), block.repeat(5, axis=0).repeat(5, axis=1))) == 1


def test_gray_images_become_three_equal_channels_beside_coloured_ones(path):
    rows = random_rows((1, 5, 5, 1), (1, 5, 5, 3))
    save_image_grid(path, rows)
    gray = np.rint(rows[0][0] * 255).astype(np.uint8)
    assert len(positions(pixels(path), gray.repeat(3, axis=2))) == 1


def test_values_are_clipped_and_the_background_is_white(path):
    save_image_grid(path, [np.array([-3.0, 0.5, 7.0], np.float32).reshape(1, 1, 3, 1)])
    picture = pixels(path)
    assert (picture[0] == 255).all() and (picture[-1] == 255).all()
    assert len(positions(picture, np.array([0, 128, 255]).reshape(1, 3, 1).repeat(3, axis=2))) == 1


def ink(picture):
    return (picture < 128).all(axis=2)


def test_row_labels_are_left_of_the_images_and_vertically_centred(path):
    rows = [np.ones((1, 60, 60, 3)), np.ones((1, 60, 60, 3))]
    save_image_grid(path, rows, row_labels=["", "HIH"])
    picture = pixels(path)
    down, across = np.nonzero(ink(picture))
    height, width = picture.shape[:2]
    assert across.max() < width - 60
    middle = height - 12 - 30
    assert abs((down.min() + down.max()) / 2 - middle) < 4


def test_column_labels_are_above_their_column(path):
    save_image_grid(path, [np.ones((2, 60, 60, 3))], column_labels=["", "HIH"])
    picture = pixels(path)
    down, across = np.nonzero(ink(picture))
    height, width = picture.shape[:2]
    assert down.max() < height - 60
    middle = width - 12 - 30
    assert abs((across.min() + across.max()) / 2 - middle) < 4
    assert np.ptp(down) >= 8, "the letters are too small to read"


def test_long_labels_over_tiny_images_do_not_run_into_each_other(path):
    save_image_grid(path, [np.ones((2, 4, 4, 3))], column_labels=["MMMMMMMM", "MMMMMMMM"])
    inked = ink(pixels(path)).any(axis=0)
    starts = np.flatnonzero(inked)
    widest_gap = np.diff(starts).max()
    assert widest_gap > 4
    assert not inked[0] and not inked[-1], "a label is cut off at the edge"


def test_an_empty_row_keeps_its_place(path):
    rows = random_rows((1, 5, 5, 3), (0, 5, 5, 3))
    save_image_grid(path, rows[:1])
    height = pixels(path).shape[0]
    save_image_grid(path, rows)
    assert pixels(path).shape[0] > height


ONE = np.zeros((1, 4, 4, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": []}, "at least one image"),
        ({"rows": [np.zeros((0, 4, 4, 3))]}, "at least one image"),
        ({"rows": [ONE, np.zeros((4, 4, 3))]}, r"row 1 .* shape \(4, 4, 3\)"),
        ({"rows": [np.zeros((1, 4, 4, 2))]}, r"row 0 .* shape \(1, 4, 4, 2\)"),
        ({"rows": [np.zeros((1, 0, 4, 3))]}, "row 0 .* shape"),
        ({"rows": [ONE, np.zeros((1, 4, 5, 3))]}, r"row 1 .*\(4, 5\)"),
        ({"rows": [np.zeros((1, 4, 4, 3), np.uint8)]}, "dtype uint8"),
        ({"rows": [ONE, np.full((1, 4, 4, 3), np.nan)]}, "row 1 .*NaN"),
        ({"rows": [ONE], "row_labels": ["a", "b"]}, "1 rows but 2 row labels"),
        ({"rows": [ONE], "column_labels": []}, "1 columns but 0 column labels"),
        ({"rows": [ONE], "scale": 0}, "scale"),
        ({"rows": [ONE], "scale": 1.5}, "scale"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_is_written(path, arguments, message):
    path.write_text("former")
    with pytest.raises(InputError, match=message):
        save_image_grid(path, **arguments)
    assert path.read_text() == "former"


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("former")
    with pytest.raises(InputError, match="cannot write .*grid.png"):
        save_image_grid(tmp_path / "file" / "grid.png", [ONE])


def test_folders_are_made_and_only_the_picture_is_left(tmp_path):
    save_image_grid(tmp_path / "new" / "grid.png", [ONE])
    assert os.listdir(tmp_path / "new") == ["grid.png"]
