"""Starting a test's program in several processes that speak to each other by MPI."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backends

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


def start(size, *command, **settings):
    """A `subprocess.Popen` of `size` processes of a Python command, its output in pipes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(
        [_mpiexec(), "-n", str(size), sys.executable, *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def finish(process, timeout=240):
    """(status, standard output, standard error) of what `start` gave; a hang is an error."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"still running after {timeout} s: {process.args}") from None
    return process.returncode, output, errors


def run(size, *command, **settings):
    """`start` and `finish`."""
    return finish(start(size, *command, **settings))
