"""The random changes to training images (section A.1): what they do, and how they are distributed.

Each draw is read off the changed image, and all draws together are compared with the distribution
that they should have: by the largest distance of the cumulative frequencies (Kolmogorov, Smirnov),
which for 2000 draws stays below 0.0435 in 999 of 1000 cases; the seeds are fixed.
"""

import colorsys
import math

import numpy as np
import pytest
from PIL import Image

from vqv2.data.augment import (
    FFHQ,
    IMAGENET,
    NONE,
    PRESETS,
    Augmentation,
    recoloured,
    shift_colours,
)
from vqv2.data.source import prepare, scaled
from vqv2.errors import InputError

DRAWS = 2000


def noise_image(side=4, channels=3):
    return np.random.default_rng(0).uniform(0.3, 0.7, (side, side, channels)).astype(np.float32)


def changed(image, augmentation, count=DRAWS):
    """What becomes of one image with each of `count` generators, (count, H, W, C)."""
    return np.stack(
        [recoloured(image, augmentation, np.random.default_rng(i)) for i in range(count)]
    )


def is_uniform(values, low, high):
    """Whether the values look drawn from [low, high], with all of them in it."""
    values = (np.sort(values) - low) / (high - low)
    assert values[0] > -1e-3 and values[-1] < 1 + 1e-3
    expected = (np.arange(len(values)) + 0.5) / len(values)
    return np.abs(values - expected).max() < 1.95 / math.sqrt(len(values))


def is_half(chosen):
    """Whether about half of the draws chose it: within 3 standard deviations."""
    return abs(np.mean(chosen) - 0.5) < 3 * 0.5 / math.sqrt(len(chosen))


def test_the_test_of_uniformity_rejects_what_is_not_uniform():
    draws = np.random.default_rng(0).random(DRAWS)
    assert is_uniform(draws, 0, 1)
    assert not is_uniform(draws**1.2, 0, 1)
    assert not is_uniform(np.clip(draws * 1.1, 0, 1), 0, 1)
    assert not is_uniform(draws * 0.9, 0, 1)
    assert is_half(draws < 0.5) and not is_half(draws < 0.57)


def test_presets_are_those_of_section_a1():
    assert Augmentation() == NONE
    assert Augmentation(random_crop=True, horizontal_flip=True) == IMAGENET
    assert Augmentation(False, True, 0.08, 0.02, 0.1, 0.1, 0.5, 0.02) == FFHQ
    assert PRESETS == {"none": NONE, "imagenet": IMAGENET, "ffhq": FFHQ}


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_at_once_stays_float32_in_range_and_repeats(channels):
    extremes = np.random.default_rng(0).integers(0, 9, (8, 8, channels)).astype(np.float32) / 8
    before = extremes.copy()
    first = changed(extremes, FFHQ, 20)
    assert first.shape == (20, 8, 8, channels) and first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1
    assert len({image.tobytes() for image in first}) == 20
    np.testing.assert_array_equal(extremes, before)
    np.testing.assert_array_equal(first, changed(extremes, FFHQ, 20))


def test_crops_begin_anywhere_alike_in_both_directions():
    ramp = np.zeros((36, 36, 3), np.uint8)  # a pixel says where it is: nothing is resized here
    ramp[..., 0], ramp[..., 1] = np.arange(36), np.arange(36)[:, None]
    picture, crop = Image.fromarray(ramp), Augmentation(random_crop=True)
    corners = np.array([prepare(picture, 32, 3, crop, seed)[0, 0, :2] for seed in range(DRAWS)])
    assert prepare(picture, 32, 3, crop, 0).shape == (32, 32, 3)
    for places in corners.T:
        counts = np.bincount(places, minlength=5)  # 36 - 32 + 1 places
        assert len(counts) == 5
        expected = DRAWS / 5
        assert ((counts - expected) ** 2 / expected).sum() < 18.5  # chi squared, 4, 0.999
    assert abs(np.corrcoef(corners.T)[0, 1]) < 4 / math.sqrt(DRAWS)


def test_flips_mirror_half_of_the_images_left_to_right():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    flip = Augmentation(horizontal_flip=True)
    results = [prepare(Image.fromarray(pixels), 4, 3, flip, seed) for seed in range(DRAWS)]
    flipped = np.array([np.array_equal(result, pixels[:, ::-1]) for result in results])
    same = np.array([np.array_equal(result, pixels) for result in results])
    assert (flipped ^ same).all()
    assert is_half(flipped)


def test_one_part_of_an_augmentation_does_not_change_the_draws_of_another():
    pixels = np.random.default_rng(0).integers(100, 140, (36, 36, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    parts = dict(FFHQ.parts())
    assert list(parts) == ["flip", "brightness", "hue", "saturation", "contrast", "noise", "all"]
    assert [name for name, _ in IMAGENET.parts()] == ["crop", "flip", "all"] and NONE.parts() == []
    for seed in range(8):
        cropped = prepare(picture, 32, 3, Augmentation(random_crop=True), seed)
        both = prepare(picture, 32, 3, IMAGENET, seed)
        turned = not np.array_equal(cropped, both)
        assert np.array_equal(cropped[:, ::-1], both) == turned
        small = picture.crop((0, 0, 32, 32))
        plain, flipped = (prepare(small, 32, 3, a, seed) for a in (NONE, parts["flip"]))
        assert turned == (not np.array_equal(plain, flipped))


def test_brightness_adds_one_amount_to_the_image():
    image = noise_image()
    difference = changed(image, Augmentation(brightness=0.08)) - image
    assert np.ptp(difference, axis=(1, 2, 3)).max() < 1e-6
    assert is_uniform(difference[:, 0, 0, 0], -0.08, 0.08)


def test_contrast_scales_around_the_mean_of_each_channel():
    image = noise_image()
    results = changed(image, Augmentation(contrast=0.1))
    np.testing.assert_allclose(results.mean((1, 2)), [image.mean((0, 1))] * DRAWS, atol=1e-6)
    factors = results.std((1, 2)) / image.std((0, 1))
    assert np.ptp(factors, axis=1).max() < 1e-4
    assert is_uniform(factors[:, 0], 0.9, 1.1)


def test_noise_is_normal_and_independent_on_half_of_the_images():
    image = noise_image(side=8)
    augmentation = Augmentation(noise_probability=0.5, noise_deviation=0.02)
    difference = changed(image, augmentation) - image
    noisy = difference.any((1, 2, 3))
    assert is_half(noisy)
    noise = difference[noisy] / 0.02
    assert (noise != 0).mean() > 0.99
    assert abs(noise.mean()) < 0.01 and 0.99 < noise.std() < 1.01
    shares = [(np.abs(noise) < deviations).mean() for deviations in (1, 2, 3)]
    np.testing.assert_allclose(shares, [0.6827, 0.9545, 0.9973], atol=0.004)
    assert abs((noise[..., 0] * noise[..., 1]).mean()) < 0.02  # each channel has its own


def test_hue_turns_both_ways():
    red = np.tile(np.float32([1, 0, 0]), (2, 2, 1))
    result = changed(red, Augmentation(hue=0.02))[:, 0, 0]
    turns = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in result.astype(float)])
    assert is_uniform((turns + 0.5) % 1 - 0.5, -0.02, 0.02)


def test_saturation_is_multiplied():
    pale = np.tile(np.float32([1, 0.5, 0.5]), (2, 2, 1))
    result = changed(pale, Augmentation(saturation=0.1))[:, 0, 0]
    assert is_uniform((1 - result[:, 1]) / 0.5, 0.9, 1.1)


def test_the_draws_of_one_image_are_independent_of_each_other():
    image = np.tile(np.float32([0.6, 0.45, 0.45]), (4, 4, 1))
    image[:2] -= 0.1
    results = changed(image, Augmentation(brightness=0.08, contrast=0.1))
    means, widths = results.mean((1, 2, 3)), results.std((1, 2))[:, 0]
    assert abs(np.corrcoef(means, widths)[0, 1]) < 4 / math.sqrt(DRAWS)


def test_colours_match_the_standard_librarys_hsv():
    pixels = np.random.default_rng(0).random((70, 500, 3), dtype=np.float32)
    result = shift_colours(pixels, np.float32(0.13), np.float32(1.3))
    expected = []
    for pixel in pixels.reshape(-1, 3).astype(float):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected.append(colorsys.hsv_to_rgb((hue + 0.13) % 1, min(1, saturation * 1.3), value))
    np.testing.assert_allclose(result.reshape(-1, 3), expected, atol=1e-5)


def test_no_turn_and_factor_one_leave_colours_alone():
    pixels = np.random.default_rng(0).random((50, 10, 3), dtype=np.float32)
    np.testing.assert_allclose(shift_colours(pixels, 0.0, 1.0), pixels, atol=1e-6)


def test_grey_images_have_no_hue_and_no_saturation():
    image = noise_image(channels=1)
    for result in changed(image, Augmentation(hue=0.5, saturation=1.0), 5):
        np.testing.assert_array_equal(result, image)


def test_where_pixels_only_move_they_stay_bytes():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8))
    assert prepare(picture, 16, 3, IMAGENET, 0).dtype == np.uint8
    assert prepare(picture, 16, 3).dtype == np.uint8
    recoloured_image = prepare(picture, 16, 3, FFHQ, 0)
    assert recoloured_image.dtype == np.float32 and scaled(recoloured_image) is recoloured_image
    assert scaled(prepare(picture, 16, 1)).max() <= 1


@pytest.mark.parametrize(
    "amounts", [{"brightness": -0.1}, {"hue": 0.6}, {"noise_probability": float("nan")}]
)
def test_senseless_amounts_are_refused_by_name(amounts):
    with pytest.raises(InputError, match=next(iter(amounts))):
        Augmentation(**amounts)
