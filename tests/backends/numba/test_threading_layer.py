"""The threads of compiled loops: TBB's where they are, and the same bits with any."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from backends.numba.engine import threading_layer
from tests.processes import LONG

COMPUTE = """
import hashlib
import numpy as np
from backends import kernels
from backends.numba.engine.threading_layer import threading_layer

draw = np.random.default_rng(0)
x, w = draw.standard_normal((70, 300), np.float32), draw.standard_normal((300, 90), np.float32)
image = draw.standard_normal((3, 16, 16, 8), np.float32)
filters = draw.standard_normal((3, 3, 8, 16), np.float32)
results = (
    kernels.matmul(x, w),
    kernels.conv2d(image, filters, 1, 1),
    kernels.sum_rows(x),
    *kernels.cross_entropy(x, draw.integers(0, 300, 70)),
)
bits = b"".join(np.ascontiguousarray(result).tobytes() for result in results)
print(threading_layer()[0], hashlib.sha256(bits).hexdigest())
"""


def run(layer, threads="2"):
    """(layer, digest of the results) in a process of its own."""
    chosen = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": threads}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPUTE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **chosen},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def test_every_layer_gives_the_same_bits():
    pytest.importorskip("numba.np.ufunc.omppool", reason="Numba has no OpenMP here")
    layers = ("omp", "workqueue", *(["tbb"] if threading_layer.load_tbb() is None else []))
    results = [run(layer) for layer in layers]
    assert [layer for layer, _ in results] == list(layers)
    assert len({digest for _, digest in results}) == 1


def test_tbb_is_taken_where_it_is_installed():
    if threading_layer.load_tbb():
        pytest.skip(f"no TBB here: {threading_layer.load_tbb()}")
    assert run("default")[0] == "tbb"


def test_why_tbb_is_not_taken_is_said(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert threading_layer.load_tbb.__wrapped__() == "the package tbb is not installed"
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    assert threading_layer.load_tbb.__wrapped__() == "the package tbb has no libtbb.so.12 here"
