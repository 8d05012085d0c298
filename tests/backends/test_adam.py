"""The moving average of weights that stand still does not drift away from them by rounding."""

import numpy as np
import pytest

from backends.kernels import adam_update


@pytest.mark.parametrize("version", ["reference", "numba"])
def test_average_of_constant_weights_is_these_weights(version):
    weights = np.linspace(-2, 2, 9, dtype=np.float32)
    arrays = [
        weights.copy(),
        np.zeros(9, np.float32),
        *np.zeros((2, 9), np.float32),
        weights.copy(),
    ]
    for step in range(1, 1000):
        adam_update.versions[version](*arrays, step, 0.1, 0.9, 0.999, 1e-8, 0.9999)
    np.testing.assert_array_equal(arrays[0], weights)
    np.testing.assert_array_equal(arrays[4], weights)
