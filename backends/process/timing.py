"""How long something takes, until the device has done it."""

import time

from backends.arrays import array_module
from backends.kernel import on_device


def seconds_of(function):
    """(seconds that function() takes, what it returns).

    On a device by its own clock, from when it has done all that came before to when it has done
    what the function started.
    """
    if not on_device():
        start = time.perf_counter()
        result = function()
        return time.perf_counter() - start, result
    cuda = array_module().cuda
    start, end = cuda.Event(), cuda.Event()
    start.record()
    result = function()
    end.record()
    end.synchronize()
    return cuda.get_elapsed_time(start, end) / 1000, result
