"""What is installed, and what the device is; to be run with -W error."""

import importlib
import platform

import backends

PACKAGES = ("numpy", "numba", "cupy", "PIL", "safetensors", "tqdm", "pytest", "torch")


def measure(report, scale):
    """Every package that the other sections use, and the device."""
    report.say(name="python", version=platform.python_version(), system=platform.platform())
    for name in PACKAGES:
        report.tried(name, lambda name=name: {"version": _version(name)})
    report.tried("device", lambda: {"device": backends.device_description()})
    report.tried("libraries", lambda: {"missing": backends.missing_libraries()})


def _version(name):
    return getattr(importlib.import_module(name), "__version__", "has none")
