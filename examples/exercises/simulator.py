"""CUDA without a GPU: `cuda` is Numba's simulator, which runs a kernel's threads on the processor.

It is a classroom: slow, and blind to much that goes wrong on a real device. `watched` sees two
things that matter most, barriers that not all threads of a block reach, and races between them in
shared memory. The project's own kernels are CUDA C++.
"""

import contextlib
import importlib
import sys
import threading
from collections import Counter

import numba
import numpy as np


def _simulated_cuda():
    numba.config.ENABLE_CUDASIM = 1  # what NUMBA_ENABLE_CUDASIM=1 does, if it is not too late
    try:
        cuda = importlib.import_module("numba.cuda")
    except ImportError:
        raise ImportError(
            'this version of Numba has no CUDA simulator: pip install "numba<=0.68"'
        ) from None
    if not hasattr(cuda, "simulator"):
        raise ImportError("numba.cuda was imported before the simulator: start a new process")
    return cuda


cuda = _simulated_cuda()


class _Indexed:
    """An array that is read and written one number at a time, as in a kernel."""

    def __init__(self, array):
        self.array = array
        self.shape, self.size, self.ndim = array.shape, array.size, array.ndim
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        index = _whole(index)
        if len(index) < self.ndim and all(np.ndim(i) == 0 for i in index):
            return Row(self, index)
        with self._lock:
            self._note_read(index)
            return self.array[index]

    def __setitem__(self, index, value):
        index = _whole(index)
        with self._lock:
            self._note_write(index)
            self.array[index] = value


class Row:
    """The beginning of an index: a[i] of a[i][d]. There is no arithmetic with it."""

    def __init__(self, whole, index):
        self.whole, self.index = whole, index

    def __len__(self):
        return self.whole.shape[len(self.index)]

    def __getitem__(self, rest):
        return self.whole[(*self.index, *_whole(rest))]

    def __setitem__(self, rest, value):
        self.whole[(*self.index, *_whole(rest))] = value


def _whole(index):
    """An index as a tuple, without the slices a[i, :] at its end."""
    index = index if isinstance(index, tuple) else (index,)
    while index and isinstance(index[-1], slice) and index[-1] == slice(None):
        index = index[:-1]
    return index


class Counted(_Indexed):
    """An array that a simulated kernel may read and write, and that counts both, in numbers."""

    reads = writes = 0

    def _note_read(self, index):
        self.reads += np.size(self.array[index])

    def _note_write(self, index):
        self.writes += np.size(self.array[index])


class Watch:
    """What `watched` has seen: barriers {(block, thread): count}, races, shared arrays' shapes."""

    def __init__(self):
        self.barriers, self.races, self.shapes = Counter(), set(), set()


@contextlib.contextmanager
def watched():
    """A `Watch` on the kernels that run inside; blocks and threads are numbered along x."""
    from numba.cuda.simulator import kernel, kernelapi

    watch, lock = Watch(), threading.Lock()
    wait, allocate = kernel.BlockThread.syncthreads, kernelapi.FakeCUDAShared.array

    def syncthreads(thread):
        watch.barriers[thread.blockIdx.x, thread.threadIdx.x] += 1
        wait(thread)

    def array(shared, shape, dtype):
        line = sys._getframe(1).f_lineno  # every call in the source is one array for all threads
        with lock:
            if line not in shared._allocations:
                if isinstance(dtype, numba.types.Type):
                    dtype = numba.np.numpy_support.as_dtype(dtype)
                shared._allocations[line] = Shared(np.empty(shape, dtype), watch)
        watch.shapes.add(shared._allocations[line].shape)
        return shared._allocations[line]

    kernel.BlockThread.syncthreads, kernelapi.FakeCUDAShared.array = syncthreads, array
    try:
        yield watch
    finally:
        kernel.BlockThread.syncthreads, kernelapi.FakeCUDAShared.array = wait, allocate


class Shared(_Indexed):
    """A shared array that notes races.

    There is one where a number is written by one thread and read by another between the same two
    barriers. Which of them happens to come first does not matter.
    """

    def __init__(self, array, watch):
        super().__init__(array)
        self.watch, self.written, self.read = watch, {}, {}

    def _now(self):
        """(block, barriers passed so far, thread)."""
        thread = threading.current_thread()
        place = thread.blockIdx.x, thread.threadIdx.x
        return place[0], self.watch.barriers[place], place[1]

    def _note_read(self, index):
        *when, thread = self._now()
        writer = self.written.get(index)
        if writer and writer[:2] == when and writer[2] != thread:
            self.watch.races.add((index, writer[2], thread))
        readers = self.read.get(index)
        if readers is None or readers[0] != when:
            readers = self.read[index] = (when, set())
        readers[1].add(thread)

    def _note_write(self, index):
        *when, thread = self._now()
        self.written[index] = [*when, thread]
        readers = self.read.get(index)
        if readers and readers[0] == when:
            self.watch.races |= {(index, thread, r) for r in readers[1] if r != thread}
