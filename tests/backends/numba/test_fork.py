"""Processes forked after kernels ran: one sentence, instead of an end or an endless wait."""

import os
import subprocess
import sys

import pytest

from tests.processes import LONG

RUN_IN_FORKS = """
import multiprocessing
import numpy as np
import backends
from backends import kernels

def positive(x):
    return kernels.relu(np.array([x], np.float32)).item()

def in_a_fork(name):
    backends.use(name)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            return pool.apply(positive, (-3.0,))
        except backends.BackendError as error:
            return error

print(in_a_fork("numba"))  # before any kernel ran here
positive(1.0)
print(in_a_fork("numba"))
print(in_a_fork("reference"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("layer", ["default", "omp", "workqueue"])
def test_a_fork_after_kernels_ran_computes_or_says_why_not(layer):
    omppool = pytest.importorskip("numba.np.ufunc.omppool", reason="Numba has no OpenMP here")
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN_IN_FORKS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_THREADING_LAYER": layer},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert finished.returncode == 0, finished.stderr
    before, after, reference = finished.stdout.splitlines()
    assert before == reference == "0.0"
    if layer == "omp" and omppool.openmp_vendor == "GNU":
        assert after.startswith("this process was forked from one that had run kernels")
        assert "'spawn'" in after and "NUMBA_THREADING_LAYER=workqueue" in after
    else:
        assert after == "0.0"
