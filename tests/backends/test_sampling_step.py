"""The layout of weights for sampling, and what bfloat16 does to them."""

import numpy as np
import pytest

from backends import sampling_step
from backends.tile import widen


def test_bfloat16_rounds_to_nearest_and_ties_to_even():
    values = np.array([1, 1 + 2**-8, 1 + 2**-8 + 2**-20, 1 + 3 * 2**-8, -3.0e38, 0], np.float32)
    rounded = np.array([1, 1, 1 + 2**-7, 1 + 2**-6, -3.0e38, 0], np.float32)
    bits = sampling_step.prepare(values[:, None], "bfloat16")
    assert bits.dtype == np.uint16
    result = sampling_step.matrix(bits, 1)[:, 0]
    np.testing.assert_allclose(result, rounded, rtol=2**-9)
    np.testing.assert_array_equal(result[[0, 1, 2, 3, 5]], rounded[[0, 1, 2, 3, 5]])


def test_bfloat16_keeps_infinity_and_nan():
    values = np.array([np.inf, -np.inf, np.nan], np.float32)
    values = np.append(values, np.uint32(0x7F800001).view(np.float32))  # a NaN in the last bit
    result = sampling_step.matrix(sampling_step.prepare(values[:, None], "bfloat16"), 1)[:, 0]
    np.testing.assert_array_equal(result, values)


def test_float32_storage_keeps_every_bit_and_rounding_errors_stay_below_one_in_256():
    w = np.random.default_rng(0).standard_normal((50, 70)).astype(np.float32)
    kept = sampling_step.matrix(sampling_step.prepare(w), 70)
    np.testing.assert_array_equal(kept, w)
    rounded = sampling_step.matrix(sampling_step.prepare(w, "bfloat16"), 70)
    error = np.abs(rounded - w) / np.abs(w)
    assert 2**-10 < error.max() <= 2**-8


def test_float64_weights_are_rounded_like_float32_ones():
    w = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    doubled = sampling_step.prepare(w.astype(np.float64), "bfloat16")
    assert doubled.dtype == np.float64
    expected = widen(sampling_step.prepare(w, "bfloat16"))[0, :, :7]
    np.testing.assert_array_equal(doubled, expected)


def test_an_unknown_storage_is_refused():
    with pytest.raises(ValueError, match="float16 .*|'float16'"):
        sampling_step.prepare(np.zeros((2, 2), np.float32), "float16")
