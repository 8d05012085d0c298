"""CUDA graphs for the stand-in: launches are recorded while a stream captures, made by `launch`.

Whatever a capture must not contain is refused: allocating, copying, computing outside of kernels
of the project's own. (CuPy's elementwise kernels could be captured, but allocate their results.)
"""


class _Capture:
    """What is being recorded: a list of functions, or None; and whether that has become invalid."""

    recorded = None
    invalid = False


def launch(function):
    """Call a kernel, or record it."""
    if _Capture.recorded is None:
        function()
    else:
        _Capture.recorded.append(function)


def refuse(what):
    """Raise inside a capture, which is invalid from then on."""
    if _Capture.recorded is not None:
        _Capture.invalid = True
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} in a captured stream")


class Graph:
    """A recording; every launch counts as one in "graphs", and its kernels in "replayed"."""

    def __init__(self, functions, counts):
        self.functions, self.counts = functions, counts

    def launch(self, stream=None):
        """Everything that was recorded, in order."""
        refuse("a graph")
        self.counts["graphs"] += 1
        self.counts["replayed"] += len(self.functions)
        for function in self.functions:
            function()


def stream(counts):
    """The class `cupy.cuda.Stream`; captures are counted in "captures"."""

    class Stream:
        def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
            self.is_null, self.is_current = null or ptds, False

        def __enter__(self):
            self.is_current = True
            return self

        def __exit__(self, *exception):
            self.is_current = False

        def begin_capture(self, mode=None):
            if self.is_null or not self.is_current or _Capture.recorded is not None:
                raise RuntimeError("cudaErrorStreamCaptureUnsupported: not this stream, or not now")
            counts["captures"] += 1
            _Capture.recorded, _Capture.invalid = [], False

        def end_capture(self):
            functions, _Capture.recorded = _Capture.recorded, None
            if _Capture.invalid:
                raise RuntimeError("cudaErrorStreamCaptureInvalidated: a launch has failed")
            return Graph(functions, counts)

    return Stream
