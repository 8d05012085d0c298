"""Freed memory stays in the process, for the next array; must run before there are large arrays.

A step of training makes and drops hundreds of arrays of some megabytes. The C library gives such
memory back to the system at once, and the system clears every page of it again for the next array:
a tenth of a step, and far more on a virtual machine whose host takes back what has been free for a
moment. With glibc, arrays up to `LARGEST` bytes now come from memory that is kept: the process goes
on holding what it held at its peak. Other C libraries stay as they are, and so does glibc where the
user has set one of its variables for this.
"""

import contextlib
import ctypes
import os
import sys

LARGEST = 2**26
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def _is_set_by_user():
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name in os.environ for name in _VARIABLES)


if sys.platform == "linux" and not _is_set_by_user():
    with contextlib.suppress(AttributeError):  # where the C library has no such function
        _library = ctypes.CDLL(None)
        _library.mallopt(_MMAP_THRESHOLD, LARGEST)
        _library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
