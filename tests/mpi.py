"""Starting a test's program in several processes that speak to each other by MPI.

What each of them says goes into a file of its own. `mpiexec` would mix it, and when it ends all of
them at once it may drop what it has not passed on yet.

python mpi.py FOLDER COMMAND ...   the Python command, its output in FOLDER/said-RANK
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

import backends
from backends.process.communication import launched
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


def started(size, folder, *command, **settings):
    """`tests.processes.started` with `size` processes of a Python command that `said` something."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}
    together = [_mpiexec(), "-n", size, sys.executable, __file__, folder, *command]
    return processes.started(together, env=environment, **settings)


def said(folder):
    """What all processes have written to either output, in the order of their ranks."""
    return "".join(path.read_text() for path in sorted(Path(folder).glob("said-*")))


def run(size, folder, *command, **settings):
    """(status, what was said) of `size` processes of a Python command."""
    with started(size, folder, *command, **settings) as process:
        status, output, errors = processes.finish(process)
    return status, said(folder) + output + errors


if __name__ == "__main__":
    rank, _ = launched()
    with open(Path(sys.argv[1], f"said-{rank}"), "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
