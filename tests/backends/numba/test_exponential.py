"""The exponential that vectorises: as exact as NumPy's, and right at the edges."""

import numpy as np

from backends.numba.engine.compiled import compiled, prange
from backends.numba.engine.exponential import exp


@compiled
def exp_loop(x, y):
    for i in prange(x.size):
        y[i] = exp(x[i])


def compute(x):
    y = np.empty_like(x)
    exp_loop(x, y)
    return y


def test_float32_is_exact_to_two_last_bits_wherever_the_result_is_normal():
    x = np.linspace(-87, 88.7, 400_001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(compute(x) / exact - 1).max() < 2 * 2.0**-24


def test_float32_beyond_its_range_is_zero_or_infinity_and_nan_stays_nan():
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 88.73, 1e30, -104, -1e30], np.float32)
    expected = [np.nan, np.inf, 0, 1, 1, np.inf, np.inf, 0, 0]
    np.testing.assert_array_equal(compute(x), np.array(expected, np.float32))


def test_float32_results_too_small_to_be_normal_lose_bits_only():
    x = np.linspace(-103, -87.4, 1000).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(compute(x) - exact).max() <= 2.0**-148


def test_float64_is_the_librarys():
    x = np.linspace(-700, 700, 999)
    np.testing.assert_allclose(compute(x), np.exp(x), rtol=1e-15)
