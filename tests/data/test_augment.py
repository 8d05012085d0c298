"""The random changes to training images: their ranges, and that each image has its own."""

import colorsys

import numpy as np
import pytest

from vqv2.data.augment import FFHQ, IMAGENET, NONE, Augmentation, augment, shift_colours
from vqv2.errors import InputError


def noise_images(count=200, side=4, channels=3):
    shape = count, side, side, channels
    return np.random.default_rng(0).uniform(0.3, 0.7, shape).astype(np.float32)


def changed(images, **amounts):
    return augment(images, Augmentation(**amounts), np.random.default_rng(1))


def test_presets_are_those_of_section_a1():
    assert Augmentation() == NONE
    assert Augmentation(random_crop=True, horizontal_flip=True) == IMAGENET
    assert Augmentation(False, True, 0.08, 0.02, 0.1, 0.1, 0.5, 0.02) == FFHQ


def test_none_needs_no_generator_and_makes_an_equal_copy():
    images = noise_images()
    result = augment(images, NONE, None)
    np.testing.assert_array_equal(result, images)
    assert not np.shares_memory(result, images)


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_at_once_stays_float32_in_range_and_repeats(channels):
    extremes = np.random.default_rng(0).integers(0, 2, (20, 8, 8, channels)).astype(np.float32)
    before = extremes.copy()
    first = augment(extremes, FFHQ, np.random.default_rng(3))
    assert first.shape == extremes.shape and first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1
    assert not np.array_equal(first, extremes)
    np.testing.assert_array_equal(extremes, before)
    np.testing.assert_array_equal(first, augment(extremes, FFHQ, np.random.default_rng(3)))


def test_flip_mirrors_about_half_of_the_images_left_to_right():
    images = noise_images()
    result = changed(images, horizontal_flip=True)
    mirrored = np.array(
        [np.array_equal(a, b[:, ::-1]) for a, b in zip(result, images, strict=True)]
    )
    same = np.array([np.array_equal(a, b) for a, b in zip(result, images, strict=True)])
    assert (mirrored ^ same).all()
    assert 70 < mirrored.sum() < 130


def test_brightness_adds_one_amount_to_each_image_within_its_bound():
    images = noise_images()
    difference = changed(images, brightness=0.08) - images
    assert np.ptp(difference, axis=(1, 2, 3)).max() < 1e-6
    amounts = difference[:, 0, 0, 0]
    assert 0.07 < amounts.max() <= 0.0801 and -0.0801 <= amounts.min() < -0.07


def test_contrast_scales_around_the_mean_of_each_channel():
    images = noise_images()
    result = changed(images, contrast=0.1)
    np.testing.assert_allclose(result.mean((1, 2)), images.mean((1, 2)), atol=1e-6)
    factors = result.std((1, 2)) / images.std((1, 2))
    assert np.ptp(factors, axis=1).max() < 1e-4
    assert 1.09 < factors.max() < 1.101 and 0.899 < factors.min() < 0.91


def test_noise_is_added_to_about_half_of_the_images_with_its_deviation():
    images = noise_images(side=8)
    difference = changed(images, noise_probability=0.5, noise_deviation=0.02) - images
    noisy = difference.any((1, 2, 3))
    assert 70 < noisy.sum() < 130
    assert 0.019 < difference[noisy].std() < 0.021
    assert (difference[noisy] != 0).mean() > 0.99


def test_colours_match_the_standard_librarys_hsv():
    pixels = np.random.default_rng(0).random((500, 3), dtype=np.float32)
    expected = []
    for pixel in pixels.astype(float):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected.append(colorsys.hsv_to_rgb((hue + 0.13) % 1, min(1, saturation * 1.3), value))
    np.testing.assert_allclose(shift_colours(pixels, 0.13, 1.3), expected, atol=1e-5)


def test_no_turn_and_factor_one_leave_colours_alone():
    pixels = np.random.default_rng(0).random((500, 3), dtype=np.float32)
    np.testing.assert_allclose(shift_colours(pixels, 0.0, 1.0), pixels, atol=1e-6)


def test_hue_turns_by_at_most_its_bound_both_ways():
    red = np.tile(np.float32([1, 0, 0]), (200, 2, 2, 1))
    result = changed(red, hue=0.02)[:, 0, 0]
    turns = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in result.astype(float)])
    turns = (turns + 0.5) % 1 - 0.5
    assert 0.017 < turns.max() < 0.0201 and -0.0201 < turns.min() < -0.017


def test_saturation_is_multiplied_within_its_bound():
    pale = np.tile(np.float32([1, 0.5, 0.5]), (200, 2, 2, 1))
    result = changed(pale, saturation=0.1)[:, 0, 0]
    factors = (1 - result[:, 1]) / 0.5
    assert 1.09 < factors.max() < 1.101 and 0.899 < factors.min() < 0.91


def test_grey_images_have_no_hue_and_no_saturation():
    images = noise_images(channels=1)
    np.testing.assert_array_equal(changed(images, hue=0.5, saturation=1.0), images)


@pytest.mark.parametrize(
    "amounts", [{"brightness": -0.1}, {"hue": 0.6}, {"noise_probability": float("nan")}]
)
def test_senseless_amounts_are_refused_by_name(amounts):
    with pytest.raises(InputError, match=next(iter(amounts))):
        Augmentation(**amounts)
