"""What is missing for the cupy backend is said in one sentence, with what to do about it."""

import importlib.machinery
import importlib.util
import sys
import types

import pytest

import backends


class CUDARuntimeError(RuntimeError):
    """As cupy raises it."""


def fake_cupy(monkeypatch, driver=13000, built_for=13000, devices=1):
    """A module cupy on a machine with this driver and this many devices, or an error for them."""

    def count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    module = types.ModuleType("cupy")
    module.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    module.ndarray = type("ndarray", (), {})
    module.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: built_for,
            getDeviceCount=count,
        )
    )
    monkeypatch.setitem(sys.modules, "cupy", module)


def the_reason():
    """The sentence; selecting the backend raises it, and it ends in a way out."""
    reason = backends.why_unavailable("cupy")
    with pytest.raises(backends.BackendError) as raised:
        backends.use("cupy")
    assert str(raised.value) == reason
    assert reason.endswith(", or choose the numba backend") and "\n" not in reason
    assert ". " not in reason  # one sentence
    return reason


def test_nothing_is_missing(monkeypatch):
    fake_cupy(monkeypatch)
    assert backends.why_unavailable("cupy") is None
    with backends.use("cupy"):
        assert backends.current() == "cupy"


def test_a_newer_driver_will_do(monkeypatch):
    fake_cupy(monkeypatch, driver=14010, built_for=13020)
    assert backends.why_unavailable("cupy") is None


def test_no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert 'needs the package cupy: pip install "vqv2[cuda13]"' in the_reason()


def test_a_package_that_cannot_be_loaded(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart is missing')\n")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert "cannot be loaded (libcudart is missing)" in the_reason()


def test_no_driver(monkeypatch):
    fake_cupy(monkeypatch, driver=0)
    assert "there is no NVIDIA driver here" in the_reason()


def test_a_driver_of_another_major_version(monkeypatch):
    fake_cupy(monkeypatch, driver=12040, built_for=13020)
    reason = the_reason()
    assert "driver here is for CUDA 12.4, but the installed cupy is for CUDA 13" in reason
    assert 'pip install "vqv2[cuda12]"' in reason


@pytest.mark.parametrize("devices", [0, CUDARuntimeError("cudaErrorNoDevice: no device")])
def test_no_device(monkeypatch, devices):
    fake_cupy(monkeypatch, devices=devices)
    assert "the NVIDIA driver shows no device" in the_reason()


def test_the_installed_package_is_asked_in_the_right_words():
    """Where the real cupy is installed: without a driver it says so and does not crash."""
    pytest.importorskip("cupy", reason="the package cupy is not installed")
    reason = backends.why_unavailable("cupy")
    assert reason is None or reason.endswith("choose the numba backend")
