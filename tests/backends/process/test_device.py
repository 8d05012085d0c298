"""What is missing for the cupy backend is said in one sentence, with what to do about it."""

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import types

import pytest

import backends
from vqv2.cli.main import main


class CUDARuntimeError(RuntimeError):
    """As cupy raises it."""


class Cuda(types.ModuleType):
    """`cupy.cuda`, whose libraries are loaded when they are asked for, or are missing.

    As in CuPy 14, NVRTC's module is always there and looks for the library when it is called.
    """

    def __init__(self, runtime, nvrtc, missing):
        super().__init__("cupy.cuda")
        self.runtime, self.missing = runtime, missing
        self.nvrtc = types.SimpleNamespace(getVersion=lambda: self._version(nvrtc))

    def _version(self, nvrtc):
        if "nvrtc" in self.missing:
            raise RuntimeError("Failure finding libnvrtc.so.13")
        return nvrtc

    def __getattr__(self, name):
        if name in self.missing:
            raise ImportError(f"libsomething.so of {name} not found")
        return types.SimpleNamespace()


def fake_cupy(
    monkeypatch, driver=13000, built_for=13000, devices=1, nvrtc=(13, 0), missing=(), packages=()
):
    """A module cupy on a machine with this driver and this many devices, or an error for them.

    `packages` are those of libraries that are installed, {name: version}.
    """

    def count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    module = types.ModuleType("cupy")
    module.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    module.ndarray = type("ndarray", (), {})
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: built_for,
        getDeviceCount=count,
    )
    module.cuda = Cuda(runtime, nvrtc, missing)
    found, other = dict(packages), importlib.metadata.version

    def version(name):
        if not name.startswith("nvidia-"):
            return other(name)
        if name not in found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
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


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [("cublas", "cuBLAS", "nvidia-cublas"), ("nvrtc", "NVRTC", "nvidia-cuda-nvrtc")],
)
def test_missing_libraries(module, name, package, monkeypatch, capsys):
    for packages, words in (
        ({}, "is not installed, and cupy needs it for CUDA 13"),
        ({package: "13.1.2"}, "is not installed, and cupy needs it for CUDA 13"),  # and broken
        ({f"{package}-cu12": "12.4.5.8"}, f"is only for CUDA 12 ({package}-cu12), and cupy needs"),
        ({package: "14.0.1"}, f"is only for CUDA 14 ({package}), and cupy needs it for CUDA 13"),
    ):
        fake_cupy(monkeypatch, missing=(module,), packages=packages)
        reason = the_reason()
        assert reason.startswith(f"the library {name}, which ") and words in reason
        assert 'pip install "vqv2[cuda13]"' in reason
        assert backends.missing_libraries() == [
            reason.removesuffix(", or choose the numba backend")
        ]
        assert main(["info"]) == 0
        assert (
            f"  {reason.removesuffix(', or choose the numba backend')}\n" in capsys.readouterr().out
        )


def test_libraries_of_cuda_12_for_a_cupy_of_cuda_12(monkeypatch):
    both = {"nvidia-cublas": "13.1", "nvidia-cuda-nvrtc": "13.1"}
    missing = ("cublas", "nvrtc")
    fake_cupy(monkeypatch, 12040, 12090, nvrtc=(12, 9), missing=missing, packages=both)
    sentences = backends.missing_libraries()
    assert len(sentences) == 2
    assert all("only for CUDA 13" in s and "cuda12" in s for s in sentences)


def test_a_library_of_another_version_is_found_first(monkeypatch):
    fake_cupy(monkeypatch, nvrtc=(12, 8))
    assert (
        "NVRTC, which compiles the kernels, was found for CUDA 12, and cupy needs" in the_reason()
    )


def test_missing_libraries_are_named_without_a_driver_too(monkeypatch, capsys):
    fake_cupy(monkeypatch, driver=0, missing=("cublas", "nvrtc"))
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert "there is no NVIDIA driver here" in printed
    assert "the library cuBLAS" in printed and "the library NVRTC" in printed


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
