"""What the selected backend's device is, for people."""

from backends.arrays import array_module
from backends.kernel import on_device
from backends.process.device import version


def compute_capability():
    """(major, minor) of the selected backend's device; None on the processor."""
    if not on_device():
        return None
    cuda = array_module().cuda
    properties = cuda.runtime.getDeviceProperties(cuda.Device().id)
    return properties["major"], properties["minor"]


def device_description():
    """Name, memory and versions of the device that the cupy backend computes on, in a sentence."""
    cuda = array_module().cuda
    runtime = cuda.runtime
    properties = runtime.getDeviceProperties(cuda.Device().id)
    free, total = runtime.memGetInfo()
    return (
        f"{properties['name'].decode()}, compute capability {properties['major']}."
        f"{properties['minor']}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, CUDA "
        f"{version(runtime.runtimeGetVersion())}; memory limit {_pool_limit()}"
    )


def _pool_limit():
    limit = array_module().get_default_memory_pool().get_limit()
    return f"{limit / 2**30:.1f} GiB" if limit else "none"
