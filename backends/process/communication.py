"""Several processes that compute one thing together: arrays in, arrays out.

`Communicator` says what all of them can do; `connect` gives the one that this process was started
for.
"""

import importlib.util
import os
import sys
import time
from typing import Protocol

import numpy as np

from backends.arrays import Array, array_module
from backends.kernel import BackendError, on_device

# What launchers tell the processes that they start: how many there are, and which one this is.
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # Open MPI
    ("PMI_SIZE", "PMI_RANK"),  # MPICH and what is made from it
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),  # srun
)

LAST_WORD = 1.0  # seconds for the launcher to pass on what was printed; an end drops the rest
SMALL = 2**14  # bytes of an array whose message takes longer to start than to send


def launched():
    """(rank, size) as the launcher of this process says; (0, 1) without a launcher."""
    for size, rank in _LAUNCHERS:
        if size in os.environ and rank in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


class Communicator(Protocol):
    """What processes that compute one thing together tell one another.

    All processes call the same methods in the same order with arrays of the same shape and dtype.
    What comes back may share memory with what went in: do not write to it.
    """

    rank: int  # which process this is
    size: int  # of how many

    def all_reduce(self, array: Array) -> Array:
        """The sum of every process's array, the same bits in all of them."""

    def all_gather(self, array: Array) -> Array:
        """Every process's array in order of rank: (size, *shape)."""

    def broadcast(self, array: Array) -> Array:
        """The array of process 0."""

    def barrier(self) -> None:
        """Return when all processes have come here."""


class Single:
    """One process alone: what it has is what all have."""

    rank, size = 0, 1

    def all_reduce(self, array):
        """The sum over one process."""
        return array

    def all_gather(self, array):
        """(1, *shape)."""
        return array[None]

    def broadcast(self, array):
        """The array itself."""
        return array

    def barrier(self):
        """Nobody to wait for."""


class MPI:
    """The processes of an MPI communicator (mpi4py), for arrays on the host.

    Sums are made in the order of the ranks, so that they do not depend on the MPI library's choice
    of an algorithm and are the same bits everywhere.
    """

    def __init__(self, communicator):
        self._communicator = communicator
        self.rank = communicator.Get_rank()
        self.size = communicator.Get_size()

    def here(self):
        """The communicator of the processes on this machine."""
        from mpi4py import MPI as library

        return MPI(self._communicator.Split_type(library.COMM_TYPE_SHARED))

    def all_reduce(self, array):
        """The sum of every process's array.

        Of a large array every process sums one part, and all gather the parts: no process receives
        more than twice the array. Of a small one all sum everything, which takes one message less.
        """
        array = np.asarray(array)
        if array.nbytes <= SMALL:
            return self.all_gather(array).sum(axis=0, dtype=array.dtype)
        each = -(-array.size // self.size)
        sent = np.zeros((self.size, each), array.dtype)
        sent.reshape(-1)[: array.size] = array.reshape(-1)
        received = np.empty_like(sent)
        self._communicator.Alltoall(_bytes(sent), _bytes(received))
        parts = self.all_gather(received.sum(axis=0, dtype=array.dtype))
        return parts.reshape(-1)[: array.size].reshape(array.shape)

    def all_gather(self, array):
        """(size, *shape)."""
        array = np.asarray(array, order="C")
        gathered = np.empty((self.size, *array.shape), array.dtype)
        self._communicator.Allgather(_bytes(array), _bytes(gathered))
        return gathered

    def broadcast(self, array):
        """The array of process 0."""
        array = np.array(array, order="C")
        self._communicator.Bcast(_bytes(array))
        return array

    def barrier(self):
        """Return when all processes have come here."""
        self._communicator.Barrier()


class NCCL:
    """The processes of an `MPI` communicator with a CUDA device each; device arrays go by NCCL.

    Arrays on the host go by MPI. Every machine's processes take its devices in order of rank, or
    each the one that the launcher shows it. The device is the current one from then on: make this
    before anything asks for memory. NCCL sums in an order of its own, the same for all processes.
    Raises `BackendError` when there are more processes than devices on a machine, or no NCCL.
    """

    def __init__(self, mpi):
        import cupy

        nccl = _nccl()
        cupy.cuda.Device(_own_device(cupy.cuda.runtime, mpi.here())).use()
        self._mpi, self._library, self._cupy = mpi, nccl, cupy
        self.rank, self.size = mpi.rank, mpi.size
        identifier = np.frombuffer(nccl.get_unique_id(), np.uint8)
        self._nccl = nccl.NcclCommunicator(
            self.size, mpi.broadcast(identifier).tobytes(), self.rank
        )

    def all_reduce(self, array):
        """The sum of every process's array."""
        if array_module(array) is np:
            return self._mpi.all_reduce(array)
        array = self._cupy.ascontiguousarray(array)
        total = self._cupy.empty_like(array)
        kind = getattr(self._library, f"NCCL_{array.dtype.name.upper()}")
        arguments = (array.data.ptr, total.data.ptr, array.size, kind, self._library.NCCL_SUM)
        self._nccl.allReduce(*arguments, self._stream())
        return total

    def all_gather(self, array):
        """(size, *shape)."""
        if array_module(array) is np:
            return self._mpi.all_gather(array)
        array = self._cupy.ascontiguousarray(array)
        gathered = self._cupy.empty((self.size, *array.shape), array.dtype)
        arguments = (array.data.ptr, gathered.data.ptr, array.nbytes, self._library.NCCL_UINT8)
        self._nccl.allGather(*arguments, self._stream())
        return gathered

    def broadcast(self, array):
        """The array of process 0."""
        if array_module(array) is np:
            return self._mpi.broadcast(array)
        array = self._cupy.array(array, order="C")
        self._nccl.bcast(array.data.ptr, array.nbytes, self._library.NCCL_UINT8, 0, self._stream())
        return array

    def barrier(self):
        """Return when all processes have come here, and their devices are idle."""
        self._cupy.cuda.get_current_stream().synchronize()
        self._mpi.barrier()

    def _stream(self):
        return self._cupy.cuda.get_current_stream().ptr


def _own_device(runtime, here):
    """The number of a device that no other process of `here`, those on this machine, takes.

    A launcher may show each process other devices than the next, often a single one, which is then
    number 0 for all of them; where a device sits tells them apart.
    """
    shown = runtime.getDeviceCount()
    device = here.rank % shown
    place = np.frombuffer(runtime.deviceGetPCIBusId(device).encode().ljust(32), np.uint8)
    if len(np.unique(here.all_gather(place), axis=0)) < here.size:
        raise BackendError(
            f"{here.size} processes were started on a machine with {shown} CUDA devices: "
            "start one for each device"
        )
    return device


def connect():
    """The communicator of this process: `Single`, unless a launcher started several.

    With the cupy backend selected it is `NCCL`, otherwise `MPI`. Raises `BackendError` when what
    several processes need is missing, or when the launcher is not that of the MPI library.
    """
    rank, size = launched()
    if size == 1:
        return Single()
    if importlib.util.find_spec("mpi4py") is None:
        raise BackendError(
            f"{size} processes were started, which need the package mpi4py to speak to each other: "
            'pip install "vqv2[mpi]", or start one process'
        )
    try:
        from mpi4py import MPI as library
    except Exception as error:  # no MPI library, or one that does not fit
        raise BackendError(
            f"the package mpi4py finds no MPI library ({error}): load the one of your cluster, or "
            "pip install mpich and start the processes with its mpiexec"
        ) from None
    mpi = MPI(library.COMM_WORLD)
    if mpi.size != size:
        raise BackendError(
            f"the launcher started {size} processes, but mpi4py sees {mpi.size}: start them with "
            f"the mpiexec of its library, {library.Get_library_version().splitlines()[0]}"
        )
    return NCCL(mpi) if on_device() else mpi


def end_all(status):
    """End every process of the launcher at once, this one included; without MPI this one only."""
    library = sys.modules.get("mpi4py.MPI")
    if library is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(LAST_WORD)
        library.COMM_WORLD.Abort(status)
    sys.exit(status)


def _bytes(array):
    return array.reshape(-1).view(np.uint8)


def _nccl():
    try:
        from cupy.cuda import nccl
    except ImportError as error:
        raise BackendError(_nccl_missing(error)) from None
    if not nccl.available:
        raise BackendError(_nccl_missing("cupy does not find its library"))
    return nccl


def _nccl_missing(reason):
    return (
        f"several processes with the cupy backend need NCCL ({reason}): pip install "
        "nvidia-nccl-cu13, or nvidia-nccl-cu12 beside cupy-cuda12x"
    )
