"""Settings of all tests.

pytest --backend cupy               on a device; without one it fails at once
pytest --backend cupy --stand-in    on a strict stand-in for cupy, which needs no device
pytest --backend reference          with the readable kernels
pytest --thorough                   also what takes most of the time and seldom fails alone
pytest --full-size tests/full_size  the paper's largest models: minutes, and 3 GB of memory
"""

from pathlib import Path

import pytest

import backends  # (before NumPy: it decides how thread pools wait)

# These hand host arrays to layers and operations; tests/gpu does the same on the device.
HOST_ARRAYS = (
    *("backends/", "functional/", "models/", "nn/", "sampling/", "test_autodiff.py"),
    *("test_optim.py", "lab/ablations/", "lab/classifier/test_classifier.py"),
)
# Marker, which is the name of the option that runs it as well: why it is left out.
LEFT_OUT = {"slow": "takes minutes", "thorough": "takes long and seldom fails alone"}


def pytest_addoption(parser):
    """Add --backend and --stand-in."""
    parser.addoption("--backend", choices=backends.BACKENDS, help="run the tests on this backend")
    parser.addoption("--full-size", action="store_true", help="run tests/full_size, too")
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")
    parser.addoption("--thorough", action="store_true", help="run the tests marked so, too")
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
    """Leave out what takes long, and, on a device, what is written for host arrays."""
    for marker, reason in LEFT_OUT.items():
        if config.getoption(f"--{marker}"):
            continue
        left_out = pytest.mark.skip(reason=f"{reason}: pytest --{marker} runs it")
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(left_out)
    if config.getoption("--backend") != "cupy":
        return
    skip = pytest.mark.skip(reason="hands host arrays to layers: tests/gpu is its counterpart")
    for item in items:
        if Path(item.path).relative_to(Path(__file__).parent).as_posix().startswith(HOST_ARRAYS):
            item.add_marker(skip)


def _install_stand_in(config):
    from tests.gpu import cpu_kernels, stand_in

    if reason := cpu_kernels.why_missing():
        raise pytest.UsageError(f"--stand-in: CUDA kernels cannot be run here: {reason}")
    installed = stand_in.installed()
    installed.__enter__()
    config.add_cleanup(lambda: installed.__exit__(None, None, None))
