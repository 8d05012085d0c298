"""Square crops: where they lie, and how the picture is resized first."""

import numpy as np
import pytest
from PIL import Image

from vqv2.data.crop import crop_position, square


def ramp(width, height):
    """A picture whose red is the column and whose green is the row of each pixel."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width)
    pixels[..., 1] = np.arange(height)[:, None]
    return Image.fromarray(pixels)


def test_centre_crop_is_in_the_middle():
    assert crop_position(10, 20, 8) == (1, 6)
    corner = np.asarray(square(ramp(20, 8), 8))[0, 0]
    assert corner.tolist() == [6, 0, 0]


def test_random_positions_reach_all_places_and_only_those():
    draws = np.random.default_rng(0).random((500, 2))
    places = {crop_position(10, 9, 8, draw) for draw in draws}
    assert places == {(top, left) for top in range(3) for left in range(2)}


def test_the_largest_draw_is_still_inside():
    assert crop_position(10, 9, 8, (1 - 2**-53, 1 - 2**-53)) == (2, 1)


@pytest.mark.parametrize("shape", [(64, 48), (48, 64), (33, 32), (32, 32), (500, 33)])
@pytest.mark.parametrize("draw", [None, (0.0, 0.0), (0.999, 0.999)])
def test_result_is_always_square(shape, draw):
    assert square(Image.new("RGB", shape), 32, draw).size == (32, 32)


def test_rounding_never_leaves_a_picture_too_small_for_its_crop():
    for side in range(8, 70):
        white = Image.new("L", (side, side + 1), 255)
        for size in range(8, side):
            assert square(white, size).getextrema() == (255, 255)


def test_picture_is_resized_so_that_its_shorter_side_fits():
    pixels = np.asarray(square(ramp(200, 100), 50)).astype(int)
    assert 48 < pixels[0, 0, 0] < 53 and 146 < pixels[0, -1, 0] < 151
    assert pixels[0, 0, 1] < 3 and pixels[-1, 0, 1] > 96


def test_a_square_picture_leaves_a_random_crop_some_freedom():
    first, last = (
        np.asarray(square(ramp(64, 64), 64, (d, d)))[0, 0].astype(int) for d in (0, 0.99)
    )
    assert (last - first)[:2].min() >= 6


def test_a_long_picture_is_not_enlarged_for_a_random_crop():
    assert np.asarray(square(ramp(96, 64), 64, (0.0, 0.5)))[0, 0].tolist() == [16, 0, 0]
