"""The losses where numbers are not finite, and where targets are no codes."""

import numpy as np
import pytest

import backends
from backends.kernels import cross_entropy, cross_entropy_gradient, mean_squared_error
from backends.numba.loss import PARTS


@pytest.mark.parametrize("size", [1, PARTS, 3 * PARTS])
@pytest.mark.parametrize("place", [0, -1])
def test_an_infinite_error_is_infinite_wherever_it_is(size, place):
    a = np.zeros(size, np.float32)
    a[place] = np.inf
    for name in ("reference", "numba"):
        with backends.use(name):
            assert mean_squared_error(a, np.zeros_like(a)) == np.inf


@pytest.mark.parametrize("version", ["reference", "numba"])
@pytest.mark.parametrize("bad", [-1, 5])
def test_target_out_of_range_is_refused(version, bad):
    logits, targets = np.zeros((3, 5), np.float32), np.array([0, bad, 4])
    with pytest.raises(IndexError, match="outside 0 to 4"):
        cross_entropy.versions[version](logits, targets)
    with pytest.raises(IndexError, match="outside 0 to 4"):
        cross_entropy_gradient.versions[version](logits, targets, np.ones(3, np.float32))
