"""Targets that are no codes are refused instead of read from beyond the logits."""

import numpy as np
import pytest

from backends.kernels import cross_entropy, cross_entropy_gradient


@pytest.mark.parametrize("version", ["reference", "numba"])
@pytest.mark.parametrize("bad", [-1, 5])
def test_target_out_of_range_is_refused(version, bad):
    logits, targets = np.zeros((3, 5), np.float32), np.array([0, bad, 4])
    with pytest.raises(IndexError, match="outside 0 to 4"):
        cross_entropy.versions[version](logits, targets)
    with pytest.raises(IndexError, match="outside 0 to 4"):
        cross_entropy_gradient.versions[version](logits, targets, np.ones(3, np.float32))
