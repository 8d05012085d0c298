"""Every differentiable operation on the device: outputs and gradients equal the reference's."""

import numpy as np
import pytest

import backends
import vqv2.functional as F
from backends import to_device, to_host
from tests.functional import test_functional_gradients
from vqv2.autodiff import Tensor


def outputs_and_gradients(function, arrays):
    """Host arrays: what `function` returns for `arrays`, and the gradients of <cotangents, it>."""
    tensors = [Tensor(to_device(array), requires_grad=True) for array in arrays]
    results = function(*tensors)
    results = results if isinstance(results, tuple) else (results,)
    rng, total = np.random.default_rng(3), None
    for result in results:
        cotangent = to_device(np.asarray(rng.standard_normal(result.shape)))
        part = F.sum(result * cotangent)
        total = part if total is None else total + part
    total.backward()
    return [to_host(r.array) for r in results], [to_host(t.grad) for t in tensors]


@pytest.mark.parametrize("name", test_functional_gradients.CASES)
def test_operation_equals_the_reference(name, device, monkeypatch):
    codes = test_functional_gradients.CODES
    for function, *arrays in test_functional_gradients.CASES[name]:
        monkeypatch.setattr(test_functional_gradients, "CODES", codes)
        with backends.use("reference"):
            expected = outputs_and_gradients(function, arrays)
        monkeypatch.setattr(test_functional_gradients, "CODES", device.asarray(codes))
        found = outputs_and_gradients(function, arrays)
        for one, other in zip(found, expected, strict=True):
            for result, value in zip(one, other, strict=True):
                assert result.dtype == value.dtype and result.shape == value.shape
                scale = max(1, np.abs(value).max(initial=0))
                np.testing.assert_allclose(result, value, rtol=0, atol=1e-12 * scale)
