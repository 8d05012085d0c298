"""Launches that are made again and again: on a device recorded once, as a CUDA graph."""

import contextlib

from backends.arrays import array_module
from backends.kernel import on_device


class Graph:
    """A sequence of kernel launches, `launch()` without arguments each, that `run` repeats.

    On a device the first run makes them one by one, which also compiles and loads the kernels; then
    they are recorded, and every further run is a single launch of the recording. All arrays must
    stay in their places, and nothing may be allocated, copied to or from the host, or waited for,
    in any of them; cuBLAS and cuRAND cannot be recorded. On the processor they are made each time.
    """

    def __init__(self, launches):
        self._launches = launches
        self._has_run = False
        self._recording = None

    def run(self):
        """Everything once, in order."""
        if self._recording is None and self._has_run and on_device():
            self._recording = self._record()
        if self._recording is not None:
            self._recording.launch()
            return
        for launch in self._launches:
            launch()
        self._has_run = True

    def _record(self):
        cupy = array_module()

        stream = cupy.cuda.Stream(non_blocking=True)  # the default stream cannot be recorded
        with stream:
            stream.begin_capture()
            try:
                for launch in self._launches:
                    launch()
            except BaseException:
                with contextlib.suppress(Exception):  # that the recording is invalid: the first
                    stream.end_capture()  # error says why
                raise
            return stream.end_capture()
