"""Starting a test's program in several processes that speak to each other by MPI."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

import backends
from tests import processes

ROOT = Path(__file__).parents[1]
_BESIDE_PYTHON = Path(sys.executable).parent / "mpiexec"


def _mpiexec():
    return str(_BESIDE_PYTHON) if _BESIDE_PYTHON.exists() else shutil.which("mpiexec")


def why_missing():
    """Why there are no several processes here, or None when there are."""
    if backends.current() == "cupy":
        return "these processes compute on the host"
    if importlib.util.find_spec("mpi4py") is None:
        return 'the package mpi4py is missing: pip install "vqv2[mpi]"'
    if not _mpiexec():
        return "there is no mpiexec: pip install mpich"
    return None


needs_mpi = pytest.mark.skipif(why_missing() is not None, reason=str(why_missing()))


def started(size, *command, **settings):
    """`tests.processes.started` with `size` processes of a Python command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}
    together = [_mpiexec(), "-n", size, sys.executable, *command]
    return processes.started(together, env=environment, **settings)


def run(size, *command, **settings):
    """(status, standard output, standard error) of `size` processes of a Python command."""
    with started(size, *command, **settings) as process:
        return processes.finish(process)
