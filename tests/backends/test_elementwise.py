"""The gate needs two halves."""

import numpy as np
import pytest

from backends.kernels import gate, gate_gradient


@pytest.mark.parametrize("version", ["reference", "numba"])
def test_odd_number_of_channels_is_refused(version):
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError):
        gate.versions[version](x)
    with pytest.raises(ValueError):
        gate_gradient.versions[version](x, x[:, :1])
