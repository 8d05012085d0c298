"""A device without numbers: shapes, memory layouts, allocations and launches, and nothing else.

    with shapes.device() as device:     # selects the backend "shapes"
        ...                             # build, train, sample, at full size, in seconds
    device.launches                     # what was launched, with bytes and operations
    device.pool.most_held               # bytes that CuPy's pool would have taken

It runs the code of the cupy backend on any machine, without cupy: every kernel that a GPU would
start is noted with what it reads, writes and computes, and every array takes its place in a pool
like CuPy's. So there is one description of a model, its code, and one of a kernel's work, the
tables of `launch.py`; `vqv2 plan`, `info` and `bench` count from them.

    array.py          arrays: a shape, a dtype and a layout, in memory of the pool's
    module.py         the functions of cupy
    host.py           numbers and images that the host would have
    pool.py           CuPy's memory pool
    launch.py         what each family of kernels moves and computes
    declarations.py   what CUDA kernels declare to take
"""

import contextlib

from backends.kernel import register, unregister, use
from backends.shapes.array import Device, Selected, new
from backends.shapes.host import Weights, Zeros
from backends.shapes.launch import TRANSFERS, Launch
from backends.shapes.module import array_functions

__all__ = ["TRANSFERS", "Device", "Launch", "Weights", "Zeros", "device", "new"]

NAME = "shapes"

arrays = array_functions()


@contextlib.contextmanager
def device():
    """Select a fresh device of shapes inside; yields the `Device`.

    Outside there is no such backend: nobody shall train on it by mistake.
    """
    former = Selected.device
    if former is None:
        register(NAME, otherwise="cupy", arrays=arrays)
    Selected.device = Device()
    try:
        with use(NAME):
            yield Selected.device
    finally:
        Selected.device = former
        if former is None:
            unregister(NAME)
