"""Draws follow the probabilities, and keep to the codes that top_k and top_p leave."""

import numpy as np
import pytest

from backends.kernels import sample_codes
from backends.reference.hashing import hashed, seed_from
from backends.reference.sample import gumbel_noise

PROBABILITIES = np.array([0.1, 0.4, 0.2, 0.3])


def frequencies(seeds, position=0, temperature=1.0, top_k=0, top_p=1.0):
    """How often each of four codes is drawn with these seeds."""
    logits = np.tile(np.log(PROBABILITIES), (len(seeds), 1))
    codes = sample_codes(logits, seeds, position, temperature, top_k, top_p)
    return np.bincount(codes, minlength=4)


def draw(count, **how):
    """How often each of four codes is drawn, as a share of `count` draws."""
    return frequencies(np.arange(count, dtype=np.uint64), **how) / count


def chi_square(frequencies, probabilities):
    expected = probabilities * frequencies.sum()
    return ((frequencies - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("side_by_side", ["maps", "positions"])
def test_codes_are_drawn_with_their_probabilities(seed, side_by_side):
    """Of chi square with three degrees of freedom one in a thousand is above 16.3."""
    if side_by_side == "maps":  # of nine positions each, with the seeds of `noise_seeds`
        seeds = np.array([seed_from(seed, 4 * 9 * n) for n in range(30_000)], np.uint64)
        found = frequencies(seeds, position=5)
    else:
        one = np.array([seed], np.uint64)
        found = sum(frequencies(one, position) for position in range(3000))
    assert chi_square(found, PROBABILITIES) < 16.3


def test_temperature_sharpens():
    np.testing.assert_allclose(
        draw(40_000, temperature=0.5), PROBABILITIES**2 / (PROBABILITIES**2).sum(), atol=0.01
    )


def test_temperature_0_takes_the_likeliest_and_the_first_of_equals():
    assert draw(10, temperature=0).tolist() == [0, 1, 0, 0]
    assert sample_codes(np.zeros((1, 4)), np.array([3], np.uint64), 0, 0, 0, 1.0).tolist() == [0]


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (1, 1.0, [1]),
        (2, 1.0, [1, 3]),
        (4, 1.0, [0, 1, 2, 3]),
        (0, 0.35, [1]),
        (0, 0.5, [1, 3]),
        (0, 0.85, [1, 2, 3]),
        (0, 0.0, [1]),
        (3, 0.5, [1, 3]),  # 0.4 of the 0.9 that top_k leaves is less than half
    ],
)
def test_only_kept_codes_are_drawn_in_proportion(top_k, top_p, kept):
    expected = np.zeros(4)
    expected[kept] = PROBABILITIES[kept] / PROBABILITIES[kept].sum()
    np.testing.assert_allclose(draw(20_000, top_k=top_k, top_p=top_p), expected, atol=0.015)


@pytest.mark.parametrize(("top_k", "top_p"), [(2, 1.0), (0, 0.3)])
def test_codes_tied_with_the_last_kept_are_kept(top_k, top_p):
    seeds = np.arange(50, dtype=np.uint64)
    codes = sample_codes(np.zeros((50, 4)), seeds, 0, 1.0, top_k, top_p)
    assert set(codes.tolist()) == {0, 1, 2, 3}


def test_nan_is_drawn_as_numpy_would():
    logits = np.zeros((2, 9), np.float32)
    logits[0, 3] = logits[0, 5] = np.nan
    assert sample_codes(logits, np.zeros(2, np.uint64), 0, 1.0, 0, 1.0)[0] == 3


def test_noise_is_a_function_of_map_position_and_code():
    seeds = np.array([5, 9], np.uint64)
    both = gumbel_noise(seeds, 3, 4, np.float64)
    np.testing.assert_array_equal(gumbel_noise(seeds[1:], 3, 4, np.float64), both[1:])
    together = gumbel_noise(seeds, 0, 16, np.float64)  # the same codes, counted on
    np.testing.assert_array_equal(together[:, 12:], both)


def test_noise_has_the_distribution_of_gumbel():
    """At equal shares of the distribution exp(-exp(-x)): chi square of 63 degrees of freedom."""
    noise = gumbel_noise(np.arange(200, dtype=np.uint64), 0, 500, np.float64)
    shares = np.exp(-np.exp(-noise.reshape(-1)))
    found = np.bincount((64 * shares).astype(int), minlength=64)
    assert chi_square(found, np.full(64, 1 / 64)) < 104  # exceeded once in a thousand
    assert noise.dtype == np.float64 and np.isfinite(noise).all()


@pytest.mark.parametrize("step", [1, 512, 32 * 32 * 512], ids=["codes", "positions", "maps"])
def test_every_bit_of_a_hash_is_set_half_of_the_time_whatever_the_others_are(step):
    count = 100_000
    index = np.arange(0, count * step, step, dtype=np.uint64)
    hashes = hashed(np.uint64(3), index)[:, None]
    bits = np.unpackbits(hashes.view(np.uint8), axis=1).astype(np.float32)
    signs = 2 * bits - 1
    deviations = 6 / np.sqrt(count)
    assert np.abs(signs.mean(axis=0)).max() < deviations
    together = signs.T @ signs / count - np.eye(64)
    assert np.abs(together).max() < deviations
    following = signs[1:].T @ signs[:-1] / count  # and with those of the number before
    assert np.abs(following).max() < deviations
