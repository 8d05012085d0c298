"""CUDA without a GPU: `cuda` is Numba's simulator, which runs a kernel's threads on the processor.

It is a classroom: slow, and blind to much that goes wrong on a real device (races, barriers that
not all threads reach, blocks that are too large). The project's own kernels are CUDA C++.
"""

import importlib
import threading

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


class Counted:
    """An array that a simulated kernel may read and write, and that counts both, in numbers."""

    def __init__(self, array):
        self.array = array
        self.shape, self.size, self.ndim = array.shape, array.size, array.ndim
        self.reads = self.writes = 0
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        value = self.array[index]
        with self._lock:
            self.reads += np.size(value)
        return value

    def __setitem__(self, index, value):
        self.array[index] = value
        with self._lock:
            self.writes += np.size(self.array[index])
