"""The device of the tests here: a real one with --backend cupy, otherwise the strict stand-in."""

import sys

import pytest

import backends
from tests.gpu import cpu_kernels, stand_in


@pytest.fixture
def device(request):
    """The module cupy, with the backend of that name selected."""
    if request.config.getoption("--backend") == "cupy":  # the stand-in is there, if wanted
        yield sys.modules["cupy"]
        return
    if reason := cpu_kernels.why_missing():
        pytest.skip(f"CUDA kernels cannot be run on the processor: {reason}")
    with stand_in.installed(), backends.use("cupy"):
        yield sys.modules["cupy"]
