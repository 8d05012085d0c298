"""Arrays between host and device, told apart by their type."""

import sys
import types

import numpy as np
import pytest

import backends
from backends import array_module, to_device, to_host


class DeviceArray:
    """Stands in for an array of cupy's."""

    def __init__(self, values):
        self.values = values


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in for the module cupy, as if it had been imported."""
    module = types.ModuleType("cupy")
    module.ndarray = DeviceArray
    module.asnumpy = lambda array: np.array(array.values)
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_numpy_owns_host_arrays_and_serves_the_host_backends():
    assert array_module(np.zeros(2)) is np
    for name in ("reference", "numba"):
        with backends.use(name):
            assert array_module() is np


def test_a_device_array_belongs_to_its_own_module_whatever_is_selected(cupy):
    assert array_module(DeviceArray([1])) is cupy
    assert array_module(np.zeros(2)) is np
    assert array_module() is np


def test_host_array_stays_the_same_object():
    x = np.zeros(3)
    assert to_host(x) is x
    assert to_device(x) is x


def test_device_array_comes_to_the_host(cupy):
    result = to_host(DeviceArray([1.0, 2.0]))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, [1.0, 2.0])


def test_to_device_converts_on_request_only():
    x = np.arange(3)
    assert to_device(x).dtype == x.dtype
    converted = to_device(x, np.float32)
    assert converted.dtype == np.float32
    np.testing.assert_array_equal(converted, [0, 1, 2])
