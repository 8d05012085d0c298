"""Settings of all tests.

pytest --backend cupy               on a device; without one it fails at once
pytest --backend cupy --stand-in    on a strict stand-in for cupy, which needs no device
pytest --backend reference          with the readable kernels
pytest --full-size tests/full_size  the paper's largest models: minutes, and 3 GB of memory
"""

from pathlib import Path

import pytest

import backends  # (before NumPy: it decides how thread pools wait)

# These hand host arrays to layers and operations; tests/gpu does the same on the device.
HOST_ARRAYS = ("backends", "functional", "models", "nn", "sampling", "test_autodiff", "test_optim")


def pytest_addoption(parser):
    """Add --backend and --stand-in."""
    parser.addoption("--backend", choices=backends.BACKENDS, help="run the tests on this backend")
    parser.addoption("--full-size", action="store_true", help="run tests/full_size, too")
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")
    parser.addoption(
        "--stand-in", action="store_true", help="put a strict stand-in in the place of cupy"
    )


def pytest_configure(config):
    """Select the backend, or fail."""
    if config.getoption("--stand-in"):
        _install_stand_in(config)
    name = config.getoption("--backend")
    if name:
        try:
            backends.use(name)
        except backends.BackendError as error:
            raise pytest.UsageError(f"--backend {name}: {error}") from None


def pytest_collection_modifyitems(config, items):
    """Leave out slow tests and, on a device, those that are written for host arrays."""
    if not config.getoption("--slow"):
        slow = pytest.mark.skip(reason="takes minutes: pytest --slow runs it")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(slow)
    if config.getoption("--backend") != "cupy":
        return
    skip = pytest.mark.skip(reason="hands host arrays to layers: tests/gpu is its counterpart")
    for item in items:
        first = Path(item.path).relative_to(Path(__file__).parent).parts[0].removesuffix(".py")
        if first in HOST_ARRAYS:
            item.add_marker(skip)


def _install_stand_in(config):
    from tests.gpu import cpu_kernels, stand_in

    if reason := cpu_kernels.why_missing():
        raise pytest.UsageError(f"--stand-in: CUDA kernels cannot be run here: {reason}")
    installed = stand_in.installed()
    installed.__enter__()
    config.add_cleanup(lambda: installed.__exit__(None, None, None))
