"""The machine: what it is, and the two limits that every figure is held against."""

import os
import platform
from pathlib import Path

import numpy as np

import backends
from backends import array_module, to_device
from backends.cupy.engine import cublas, half
from backends.numba.engine.compiled import compiled, prange
from vqv2.lab.bench.measure import Limits, take_turns
from vqv2.lab.bench.subject import Subject
from vqv2.lab.bench.worker import Worker

PRODUCT_SIZE = {"tiny": 256, "host": 2048, "device": 8192}  # rows and columns, by scale
STREAM_BYTES = {"tiny": 2**23, "host": 2**29, "device": 2**31}  # beyond every cache


def build(name, scale="host", precision="float32"):
    """The limit `name`, "matrix product" or "streaming", as a `Subject`."""
    if name == "matrix product":
        return _matrix_product(PRODUCT_SIZE[scale], precision)
    return _streaming(STREAM_BYTES[scale] // 4)


def _matrix_product(size, precision):
    """On a device in the precision; a processor's limit is that of float32 in each."""
    rng = np.random.default_rng(0)
    a, b = (to_device(rng.standard_normal((size, size), dtype=np.float32)) for _ in range(2))
    product = array_module(a).empty_like(a)
    flops, traffic = 2 * size**3, 3 * a.nbytes
    if array_module(a) is np:
        return Subject(lambda: np.matmul(a, b, out=product), flops, traffic)
    with backends.use(precision=precision):
        a, b = half.halved(a), half.halved(b)

    def run():
        with backends.use(precision=precision):
            cublas.multiply(a, b, out=product)

    return Subject(run, flops, traffic)


def _streaming(count):
    numbers = to_device(np.ones(count, np.float32))
    if array_module(numbers) is not np:
        return Subject(lambda: numbers.sum(), count, numbers.nbytes)
    sums = np.empty(256, np.float32)
    return Subject(lambda: _sum_loop(numbers, sums), count, numbers.nbytes)


@compiled
def _sum_loop(x, sums):
    """Read all of x, with every thread, as fast as memory gives it."""
    length = len(x) // len(sums)
    for part in prange(len(sums)):
        numbers = x[part * length : (part + 1) * length]
        total = numbers[0] * 0
        for i in range(length):  # by index: `for number in numbers` is not vectorised
            total += numbers[i]
        sums[part] = total


def measure_limits(settings, precision="float32"):
    """The `Limits` with these settings' threads, the best of at least 15 repetitions each.

    A limit is what the machine can do: a disturbed measurement of it would flatter every row.
    """
    rates, options = {}, {"scale": settings.scale, "precision": precision}
    repetitions = max(15, settings.repetitions)
    with Worker("ours", settings.threads) as worker:
        for name, amount in (("matrix product", "flops"), ("streaming", "bytes")):
            built = worker.build("machine", name, options)
            (seconds,) = take_turns([worker.run], repetitions, settings.warmup + 1)
            rates[name] = built[amount] / min(seconds)
    return Limits(rates["matrix product"], rates["streaming"])


def facts():
    """{name: value} of what the figures depend on: device, processor, memory, versions."""
    on_device = backends.current() == "cupy"
    return {
        "device": backends.device_description() if on_device else None,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _processor():
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes():
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
