"""Draws follow the probabilities, and keep to the codes that top_k and top_p leave."""

import numpy as np
import pytest

from backends.kernels import sample_codes

PROBABILITIES = np.array([0.1, 0.4, 0.2, 0.3])


def draw(count, temperature=1.0, top_k=0, top_p=1.0):
    """How often each of four codes is drawn, as a share of `count` draws."""
    gumbel = np.random.default_rng(0).gumbel(size=(count, 4))
    logits = np.tile(np.log(PROBABILITIES), (count, 1))
    codes = sample_codes(logits, gumbel, temperature, top_k, top_p)
    return np.bincount(codes, minlength=4) / count


def test_codes_are_drawn_with_their_probabilities():
    np.testing.assert_allclose(draw(40_000), PROBABILITIES, atol=0.01)


def test_temperature_sharpens():
    np.testing.assert_allclose(
        draw(40_000, temperature=0.5), PROBABILITIES**2 / (PROBABILITIES**2).sum(), atol=0.01
    )


def test_temperature_0_takes_the_likeliest_and_the_first_of_equals():
    assert draw(10, temperature=0).tolist() == [0, 1, 0, 0]
    assert sample_codes(np.zeros((1, 4)), np.eye(4)[2:3], 0, 0, 1.0).tolist() == [0]


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


def test_codes_tied_with_the_last_kept_are_kept():
    logits, gumbel = np.zeros((4, 4)), 100 * np.eye(4)
    assert sample_codes(logits, gumbel, 1.0, 2, 1.0).tolist() == [0, 1, 2, 3]
    assert sample_codes(logits, gumbel, 1.0, 0, 0.3).tolist() == [0, 1, 2, 3]
