"""Kernels in a forked process: what GNU OpenMP's threads do not survive is said, not waited for.

Once a kernel has run, GNU OpenMP, Numba's thread pool on Linux where TBB is not installed, ends a
forked process that runs another one, and `multiprocessing.Pool` starts new ones for ever.
"""

import os
import sys

from backends.kernel import BackendError


class _Process:
    has_lost_threads = False


def require_threads():
    """Raise `BackendError` in a process whose threads were lost by a fork."""
    if _Process.has_lost_threads:
        raise BackendError(
            "this process was forked from one that had run kernels of the numba backend, and their "
            "threads (GNU OpenMP) do not survive that: start it by multiprocessing's method "
            "'spawn', install the package tbb, or set NUMBA_THREADING_LAYER=workqueue"
        )


def _after_fork():
    _Process.has_lost_threads = _gnu_openmp_runs()


def _gnu_openmp_runs():
    """Whether Numba has started the threads of GNU OpenMP."""
    numba = sys.modules.get("numba")
    try:
        layer = numba and numba.threading_layer()
    except ValueError:  # it has not started any
        return False
    if layer != "omp":
        return False
    from numba.np.ufunc import omppool

    return omppool.openmp_vendor == "GNU"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
