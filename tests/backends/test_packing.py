"""The layout of weights for sampling, and what bfloat16 does to them."""

import numpy as np
import pytest

from backends import reference
from backends.cupy import sampling_step
from backends.numba import packing
from backends.reference.packing import BLOCK, matrix, pack, prepare_weights, unpack


@pytest.mark.parametrize("halves", [1, 2])
@pytest.mark.parametrize("columns", [2, 64, 128, 130])
@pytest.mark.parametrize(
    ("version", "block"),
    [(reference.packing, BLOCK), (packing, BLOCK), (sampling_step, sampling_step.STRIP)],
    ids=["reference", "numba", "cupy"],
)
def test_unpack_gives_back_what_was_packed(columns, halves, version, block):
    w = np.random.default_rng(0).standard_normal((5, columns)).astype(np.float32)
    packed = version.prepare_weights(w, "float32", halves)
    assert packed.flags.c_contiguous and packed.shape[1:] == (5, block)
    np.testing.assert_array_equal(unpack(packed, columns, halves), w)
    assert np.count_nonzero(packed) == w.size  # zeros fill it up


def test_a_packed_block_holds_the_same_columns_of_both_halves():
    w = np.arange(128, dtype=np.float32)[None]
    first = pack(w, halves=2)[0, 0]
    np.testing.assert_array_equal(first, np.concatenate([np.arange(32), 64 + np.arange(32)]))


def test_bfloat16_rounds_to_nearest_and_ties_to_even():
    values = np.array([1, 1 + 2**-8, 1 + 2**-8 + 2**-20, 1 + 3 * 2**-8, -3.0e38, 0], np.float32)
    rounded = np.array([1, 1, 1 + 2**-7, 1 + 2**-6, -3.0e38, 0], np.float32)
    bits = prepare_weights(values[:, None], "bfloat16")
    assert bits.dtype == np.uint16
    result = matrix(bits, 1)[:, 0]
    np.testing.assert_allclose(result, rounded, rtol=2**-9)
    np.testing.assert_array_equal(result[[0, 1, 2, 3, 5]], rounded[[0, 1, 2, 3, 5]])


def test_bfloat16_keeps_infinity_and_nan():
    values = np.array([np.inf, -np.inf, np.nan], np.float32)
    values = np.append(values, np.uint32(0x7F800001).view(np.float32))  # a NaN in the last bit
    result = matrix(prepare_weights(values[:, None], "bfloat16"), 1)[:, 0]
    np.testing.assert_array_equal(result, values)


def test_float32_storage_keeps_every_bit_and_rounding_errors_stay_below_one_in_256():
    w = np.random.default_rng(0).standard_normal((50, 70)).astype(np.float32)
    kept = matrix(prepare_weights(w), 70)
    np.testing.assert_array_equal(kept, w)
    rounded = matrix(prepare_weights(w, "bfloat16"), 70)
    error = np.abs(rounded - w) / np.abs(w)
    assert 2**-10 < error.max() <= 2**-8


def test_float64_weights_are_rounded_like_float32_ones():
    w = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    doubled = prepare_weights(w.astype(np.float64), "bfloat16")
    np.testing.assert_array_equal(doubled, prepare_weights(w, "bfloat16"))


def test_an_unknown_storage_is_refused():
    with pytest.raises(ValueError, match="float16 .*|'float16'"):
        prepare_weights(np.zeros((2, 2), np.float32), "float16")
