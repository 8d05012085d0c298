"""Peak memory of this process: resident, or on the device that it computes on."""

import contextlib
import ctypes
import sys
from pathlib import Path

import backends
from backends.process import device_memory

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """The highest resident memory since `start`, above what was resident then.

    On Linux the kernel's high-water mark is reset first. Elsewhere it cannot be, and the peak
    counts only as far as it exceeds all that came before `start`.
    """

    def __init__(self):
        self._baseline = 0

    def start(self):
        """Give freed memory back to the system, and forget earlier peaks."""
        with contextlib.suppress(AttributeError):  # where the C library has no such function
            ctypes.CDLL(None).malloc_trim(0)
        if _CLEAR.exists():
            _CLEAR.write_text("5")  # "reset the peak resident set size"
        self._baseline = _status("VmRSS") if _STATUS.exists() else _highest()

    def peak(self):
        """Bytes."""
        highest = _status("VmHWM") if _STATUS.exists() else _highest()
        return max(0, highest - self._baseline)


class PeakPool:
    """The same of the device: what its pool holds, above what was in use at `start`."""

    def __init__(self):
        self._baseline = 0

    def start(self):
        """Give freed memory back to the device, and forget earlier peaks."""
        device_memory.release()
        self._baseline = backends.pool_bytes()

    def peak(self):
        """Bytes."""
        return max(0, backends.pool_bytes() - self._baseline)


def peak_memory():
    """What measures the memory of the selected backend."""
    return PeakPool() if backends.current() == "cupy" else PeakMemory()


def _status(field):
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _highest():
    import resource  # not on every system

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
