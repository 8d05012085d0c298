"""The device's memory: how much CuPy's pool may take of it, and how much it has taken.

CuPy keeps freed memory for itself, so what its pool holds is the most that was in use at a time,
plus what could not be used in between. On the processor there is no pool; what is here then raises,
or has nothing to report.
"""

import os
import re

from backends.arrays import array_module
from backends.kernel import BackendError, current, on_device

DEFAULT_LIMIT = "95%"  # what is left is for the driver, cuBLAS and the screen
VARIABLE = "CUPY_GPU_MEMORY_LIMIT"  # CuPy's own, which processes that are started find
_UNITS = {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def limit_memory(limit):
    """Bound the pool: "90%" of the device's memory, "20GiB", "20GB", or a number of bytes.

    An allocation beyond it raises `MemoryError`. Returns the bound in bytes. Raises `BackendError`
    for what cannot be read, for more than there is, and on backends without a device.
    """
    if not on_device():
        raise BackendError(
            f"a memory limit ({limit}) is for the backend cupy, not for {current()}: select it, or "
            "leave out the limit"
        )
    _, total = array_module().cuda.runtime.memGetInfo()
    size = _bytes(str(limit), total)
    if not 0 < size <= total:
        raise BackendError(
            f"a memory limit of {limit} is not between 0 and the device's {total / 2**30:.1f} GiB"
        )
    array_module().get_default_memory_pool().set_limit(size=size)
    return size


def _bytes(text, total):
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|[KMG]i?B|)\s*", text, re.IGNORECASE)
    if match is None:
        raise BackendError(f"a memory limit of {text!r} cannot be read: write 90%, or 20GiB")
    number, unit = float(match[1]), match[2].upper()
    return int(number / 100 * total) if unit == "%" else int(number * _UNITS[unit])


def default_limit():
    """Bound the pool by `DEFAULT_LIMIT`, unless the variable `VARIABLE` bounds it already."""
    if not os.environ.get(VARIABLE):
        limit_memory(DEFAULT_LIMIT)


def pool_bytes():
    """Bytes of the device that the pool holds, the peak of what was in use; None without one."""
    if not on_device():
        return None
    return array_module().get_default_memory_pool().total_bytes()


def release():
    """Give back what the pool holds and nobody uses, so that a new peak can be told."""
    if on_device():
        array_module().get_default_memory_pool().free_all_blocks()
