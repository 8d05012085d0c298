"""Settings of all tests.

    pytest --backend cupy               on a device; without one it fails at once
    pytest --backend cupy --stand-in    on a strict stand-in for cupy, which needs no device
    pytest --backend reference          with the readable kernels
"""

import pytest

import backends  # (before NumPy: it decides how thread pools wait)


def pytest_addoption(parser):
    """Add --backend and --stand-in."""
    parser.addoption("--backend", choices=backends.BACKENDS, help="run the tests on this backend")
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


def _install_stand_in(config):
    from tests.gpu import cpu_kernels, stand_in

    if reason := cpu_kernels.why_missing():
        raise pytest.UsageError(f"--stand-in: CUDA kernels cannot be run here: {reason}")
    installed = stand_in.installed()
    installed.__enter__()
    config.add_cleanup(lambda: installed.__exit__(None, None, None))
