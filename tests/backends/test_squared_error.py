"""The mean squared error where it is not finite."""

import numpy as np
import pytest

import backends
from backends.kernels import mean_squared_error
from backends.numba.squared_error import PARTS


@pytest.mark.parametrize("size", [1, PARTS, 3 * PARTS])
@pytest.mark.parametrize("place", [0, -1])
def test_an_infinite_error_is_infinite_wherever_it_is(size, place):
    a = np.zeros(size, np.float32)
    a[place] = np.inf
    for name in ("reference", "numba"):
        with backends.use(name):
            assert mean_squared_error(a, np.zeros_like(a)) == np.inf
