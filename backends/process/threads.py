"""How the thread pools of BLAS and OpenMP behave; must run before NumPy and Numba load them.

Both pools keep their idle threads spinning by default, each for itself, and one pool's idle threads
then take the cores from the other's busy ones. So idle threads sleep: OpenBLAS's at once, OpenMP's
after a fraction of a millisecond. That bridges the gaps between the kernels of a step. After a
longer pause a thread may wake on the very core that woke it, and share it for milliseconds while
another core is idle. OMP_PROC_BIND=true prevents that. It is left to the user: it binds the first
thread to one core as well, and with it every process that this thread starts.

Processes that `mpiexec` starts on one machine share its cores: each has its part of the threads.
A value set by the user stays.
"""

import os

_CHOICES = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "100000",  # turns of a waiting thread before it sleeps
    "OPENBLAS_THREAD_TIMEOUT": "4",  # 2^4 cycles, the least it takes
}
_LOCAL_SIZES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE")  # of MPICH, of Open MPI


def cores():
    """How many of the machine's cores are for this process.

    Those that it may use, and no more than its part where a launcher started several processes
    here.
    """
    local_size = max(int(os.environ.get(name, 1)) for name in _LOCAL_SIZES)
    everything = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everything
    return max(1, min(allowed, everything // local_size))


if any(name in os.environ for name in _LOCAL_SIZES):
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        _CHOICES[_name] = str(cores())
SET_HERE = tuple(name for name in _CHOICES if name not in os.environ)  # the user set the others
os.environ.update({name: _CHOICES[name] for name in SET_HERE})
