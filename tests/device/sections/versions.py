"""What is installed, and what the device is; to be run with -W error."""

import importlib.util
import platform

import backends

PACKAGES = ("numpy", "numba", "PIL", "tqdm", "pytest")
OPTIONAL = ("torch", "xdist")


def measure(report, scale):
    """Every package that the other sections use, and the device."""
    report.say(name="python", version=platform.python_version(), system=platform.platform())
    for name in PACKAGES + tuple(filter(importlib.util.find_spec, OPTIONAL)):
        report.tried(name, lambda name=name: {"version": _version(name)})
    arrays = backends.array_module()
    report.say(name=arrays.__name__, version=arrays.__version__)
    report.tried("device", lambda: {"device": backends.device_description()})
    report.tried("libraries", lambda: {"missing": backends.missing_libraries()})


def _version(name):
    return getattr(importlib.import_module(name), "__version__", "has none")
