"""Where the peer computes: on the device, when we do, and otherwise on the processor."""

import contextlib
import time

import backends
from vqv2.errors import InputError
from vqv2.lab.bench.memory_of_process import PeakMemory
from vqv2.lab.bench.peer.framework import torch


def on_device():
    """Whether the peer computes on a GPU. Raises `InputError` when it should and cannot."""
    if backends.current() != "cupy":
        return False
    if not torch.cuda.is_available():
        raise InputError("the peer's PyTorch finds no GPU: install one that is built for CUDA")
    return True


def place():
    """The name of the peer's device."""
    return "cuda" if on_device() else "cpu"


def placed(thing):
    """A tensor or module where the peer computes; maps on a GPU with their channels last."""
    if not on_device():
        return thing
    if isinstance(thing, torch.Tensor) and thing.ndim != 4:
        return thing.cuda()
    return thing.to("cuda", memory_format=torch.channels_last)


def seconds_of(function):
    """(seconds that function() takes, what it returns); on a GPU between two of its events."""
    if not on_device():
        begun = time.perf_counter()
        result = function()
        return time.perf_counter() - begun, result
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    result = function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000, result


class _PeakPool:
    """What PyTorch's pool holds of a GPU at most, above what it held at `start`."""

    def start(self):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        self._baseline = torch.cuda.memory_reserved()

    def peak(self):
        """Bytes."""
        return torch.cuda.max_memory_reserved() - self._baseline


def peak_memory():
    """What measures the memory of the peer."""
    return _PeakPool() if on_device() else PeakMemory()


@contextlib.contextmanager
def precision_of(precision):
    """Context manager: float32 products in TF32 or not; fastest algorithms of cuDNN's are sought.

    What bfloat16 leaves in float32 may use TF32, as one would have it.
    """
    kind = "ieee" if precision == "float32" else "tf32"
    switches = [
        (torch.backends.cuda.matmul, "fp32_precision", kind),
        (torch.backends.cudnn.conv, "fp32_precision", kind),
        (torch.backends.cudnn, "benchmark", True),
    ]
    former = [getattr(module, name) for module, name, _ in switches]
    try:
        for switch in switches:
            setattr(*switch)
        yield
    finally:
        for (module, name, _), value in zip(switches, former, strict=True):
            setattr(module, name, value)


def autocast(precision):
    """PyTorch's context manager for what may be computed in a precision."""
    half = precision == "bfloat16"
    return torch.autocast(place(), torch.bfloat16, enabled=half)
