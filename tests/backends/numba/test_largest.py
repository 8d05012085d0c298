"""The maximum that vectorises: that of NumPy, whatever the signs."""

import numpy as np
import pytest

from backends.numba.engine.compiled import compiled, prange
from backends.numba.engine.largest import largest


@compiled
def largest_loop(x, y):
    for n in prange(len(x)):
        y[n] = largest(x[n])


def compute(rows):
    y = np.empty(len(rows), rows.dtype)
    largest_loop(rows, y)
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [-9, 0, 9])
@pytest.mark.parametrize("length", [1, 7, 100])
def test_it_is_the_maximum_of_every_row(length, offset, dtype):
    rows = np.random.default_rng(length).standard_normal((50, length)).astype(dtype) + dtype(offset)
    np.testing.assert_array_equal(compute(rows), rows.max(axis=1))


def test_infinities_and_numbers_too_small_to_be_normal_have_their_places():
    edges = np.array([-np.inf, -3e38, -1, -1e-45, 0, 1e-45, 1, 3e38, np.inf], np.float32)
    for last in range(1, len(edges) + 1):
        assert compute(edges[None, :last][:, ::-1].copy()) == edges[last - 1]


def test_a_nan_without_its_sign_comes_last():
    rows = np.array([[1, np.nan, 2], [np.nan, np.nan, np.nan]], np.float32)
    assert np.isnan(compute(rows)).all()
