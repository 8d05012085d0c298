"""Communicators: what comes back, in three processes; and what is said when they cannot start."""

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from backends.kernel import BackendError
from backends.process import communication
from backends.process.communication import NCCL, Single, connect, launched
from backends.process.threads import cores
from tests import mpi

PROGRAM = Path(__file__).with_name("communicating.py")


@mpi.needs_mpi
def test_three_processes_get_the_same_sums_and_arrays(tmp_path):
    status, said = mpi.run(3, tmp_path, PROGRAM)
    assert (status, said.strip()) == (0, "all is well")


def test_one_process_has_what_it_has():
    array = np.arange(6.0).reshape(2, 3)
    assert Single().all_reduce(array) is array
    assert Single().broadcast(array) is array
    assert Single().all_gather(array).shape == (1, 2, 3)
    assert (launched(), type(connect())) == ((0, 1), Single)


@pytest.mark.parametrize(
    ("size", "rank"),
    [
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("PMI_SIZE", "PMI_RANK"),
        ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ],
)
def test_a_launcher_is_recognised(size, rank, monkeypatch):
    monkeypatch.setenv(size, "4")
    assert launched() == (0, 1)
    monkeypatch.setenv(rank, "3")
    assert launched() == (3, 4)


def pretend(monkeypatch, size):
    monkeypatch.setenv("PMI_SIZE", str(size))
    monkeypatch.setenv("PMI_RANK", "0")


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({}, "None"),
        ({"MPI_LOCALNRANKS": "1"}, "all"),
        ({"MPI_LOCALNRANKS": "10000"}, "1"),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "10000"}, "1"),
        ({"MPI_LOCALNRANKS": "10000", "OMP_NUM_THREADS": "3"}, "3"),
    ],
)
def test_processes_of_one_machine_share_its_cores(given, threads):
    kept = {name: value for name, value in os.environ.items() if "_NUM_THREADS" not in name}
    program = "import backends, os; print(os.environ.get('OMP_NUM_THREADS'))"
    finished = subprocess.run(
        [sys.executable, "-c", program], env={**kept, **given}, capture_output=True, text=True
    )
    if threads == "all":
        threads = str(cores())
    assert finished.stdout.strip() == threads


def test_without_mpi4py_the_sentence_says_what_to_install(monkeypatch):
    pretend(monkeypatch, 2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r'2 processes.*pip install "vqv2\[mpi\]"'):
        connect()


@mpi.needs_mpi
def test_the_launcher_of_another_library_is_noticed(monkeypatch):
    """Else every process would believe that it is alone, and all would write the same files."""
    world = types.SimpleNamespace(Get_rank=lambda: 0, Get_size=lambda: 1)
    library = types.SimpleNamespace(COMM_WORLD=world, Get_library_version=lambda: "Some MPI 1\nx")
    import mpi4py

    monkeypatch.setattr(mpi4py, "MPI", library, raising=False)
    pretend(monkeypatch, 2)
    with pytest.raises(BackendError, match="2 processes, but mpi4py sees 1.*Some MPI 1$"):
        connect()


class StandInForNCCL:
    """Two processes' NCCL as seen by process 1, whose peer has the same arrays; see below."""

    NCCL_SUM, NCCL_UINT8, NCCL_FLOAT32, NCCL_INT64 = 0, 1, 7, 4
    available = True

    def __init__(self):
        self.calls = []
        self.NcclCommunicator = self._communicator

    def get_unique_id(self):
        return bytes(range(128))

    def _communicator(self, size, identifier, rank):
        assert (size, identifier, rank) == (2, bytes(range(128)), 1)
        return self

    def allReduce(self, sent, received, count, kind, operation, stream):  # noqa: N802
        self.calls.append(("allReduce", count, kind, operation, stream))
        received[...] = 2 * sent

    def allGather(self, sent, received, count, kind, stream):  # noqa: N802
        self.calls.append(("allGather", count, kind, stream))
        received[...] = sent

    def bcast(self, array, count, kind, root, stream):
        self.calls.append(("bcast", count, kind, root, stream))


class HostMPI:
    """The MPI side of the stand-in: this process's own arrays."""

    rank, size = 1, 2

    def __init__(self, other_places):
        self.other_places = other_places

    def here(self):
        """The processes of this machine; `other_places` is where the others' devices sit."""
        others = [np.frombuffer(p.encode().ljust(32), np.uint8) for p in self.other_places]
        return types.SimpleNamespace(
            rank=1, size=1 + len(others), all_gather=lambda own: np.stack([*others, own])
        )

    def all_reduce(self, array):
        return "by MPI"

    def broadcast(self, array):
        return array

    def barrier(self):
        pass


class Array(np.ndarray):
    """A host array in the place of a device's: its address is itself."""

    data = property(lambda self: types.SimpleNamespace(ptr=self))


def stand_in_for_cupy(chosen, devices=2):
    stream = types.SimpleNamespace(ptr=77, synchronize=lambda: None)
    device = types.SimpleNamespace
    cuda = types.SimpleNamespace(
        Device=lambda number: device(use=lambda: chosen.append(number)),
        get_current_stream=lambda: stream,
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: devices, deviceGetPCIBusId=lambda number: f"bus {number}"
        ),
    )
    return types.SimpleNamespace(
        cuda=cuda,
        ndarray=Array,
        array=lambda a, order: np.array(a, order=order).view(Array),
        ascontiguousarray=lambda a: np.ascontiguousarray(a).view(Array),
        empty=lambda shape, dtype: np.empty(shape, dtype).view(Array),
        empty_like=lambda a: np.empty_like(a).view(Array),
    )


@pytest.fixture
def devices(monkeypatch):
    """(NCCL's stand-in, numbers of the devices that were chosen)."""
    library, chosen = StandInForNCCL(), []
    monkeypatch.setitem(sys.modules, "cupy", stand_in_for_cupy(chosen))
    monkeypatch.setattr(communication, "_nccl", lambda: library)
    return library, chosen


def test_device_arrays_go_by_nccl_and_host_arrays_by_mpi(devices):
    library, chosen = devices
    communicator = NCCL(HostMPI(["bus 0"]))
    assert chosen == [1] and (communicator.rank, communicator.size) == (1, 2)
    array = np.arange(6, dtype=np.float32).reshape(2, 3).view(Array)
    np.testing.assert_array_equal(communicator.all_reduce(array), 2 * array)
    assert communicator.all_gather(array.T).shape == (2, 3, 2)
    np.testing.assert_array_equal(communicator.broadcast(array), array)
    communicator.barrier()
    assert library.calls == [
        ("allReduce", 6, library.NCCL_FLOAT32, library.NCCL_SUM, 77),
        ("allGather", 24, library.NCCL_UINT8, 77),
        ("bcast", 24, library.NCCL_UINT8, 0, 77),
    ]
    assert communicator.all_reduce(np.zeros(2)) == "by MPI"


def test_more_processes_than_devices_are_refused(devices):
    with pytest.raises(BackendError, match="3 processes .* 2 CUDA devices"):
        NCCL(HostMPI(["bus 0", "bus 0"]))
    with pytest.raises(BackendError, match="2 processes"):
        NCCL(HostMPI(["bus 1"]))


def test_a_launcher_may_show_each_process_its_own_device_only(devices, monkeypatch):
    """As srun --gpus-per-task=1 does: every process has a device number 0, each another one."""
    _, chosen = devices
    monkeypatch.setitem(sys.modules, "cupy", stand_in_for_cupy(chosen, devices=1))
    NCCL(HostMPI(["bus 4"]))
    assert chosen == [0]


PARAMETERS = {
    "allReduce": "sendbuf, recvbuf, count, datatype, op, stream",
    "allGather": "sendbuf, recvbuf, count, datatype, stream",
    "bcast": "buff, count, datatype, root, stream",
}
REAL_NAMES = """
import json
from cupy.cuda import nccl
if not nccl.available:
    raise ImportError("cupy does not find the NCCL library")
print(json.dumps([
    len(nccl.get_unique_id()),
    {name: getattr(nccl.NcclCommunicator, name).__doc__ for name in %r},
    [nccl.NCCL_SUM, nccl.NCCL_UINT8, nccl.NCCL_FLOAT16, nccl.NCCL_FLOAT32, nccl.NCCL_FLOAT64,
     nccl.NCCL_INT64, nccl.NCCL_UINT64],
]))
"""


def test_the_real_nccl_has_the_names_and_parameters_that_are_used():
    """Of the cupy package, which loads without a device; its compiled functions state them."""
    command = [sys.executable, "-W", "ignore", "-c", REAL_NAMES % list(PARAMETERS)]
    finished = subprocess.run(command, capture_output=True, text=True)
    last = (finished.stderr.splitlines() or [""])[-1]
    if last.startswith(("ImportError", "ModuleNotFoundError")):
        pytest.skip(f"cupy or NCCL is missing: {last}")
    assert finished.returncode == 0, finished.stderr
    length, methods, numbers = json.loads(finished.stdout)
    assert length == 128 and all(isinstance(number, int) for number in numbers)
    for name, expected in PARAMETERS.items():
        stated = methods[name].split("(")[1].split(")")[0].split(", ")[1:]  # without self
        assert ", ".join(parameter.split()[-1] for parameter in stated) == expected
