"""What the device can do: copies, sums, and the models' matrix products in every precision."""

import numpy as np

import backends
from backends import array_module, to_device
from backends.cupy.engine import cublas, half
from backends.process import device_memory
from tests.device.measure import seconds_of_run

NUMBERS = {"tiny": 2**10, "host": 2**24, "device": 2**28}
PRECISIONS = ("float32", "tf32", "bfloat16")
PRODUCTS = (  # rows, inner, columns: 32 maps of 32 x 32 positions, and 128 of 64 x 64
    (8192, 8192, 8192),
    (32768, 6656, 2048),  # causal 5x5, forward
    (32768, 2048, 6656),  # its input's gradient
    (6656, 32768, 2048),  # its weights' gradient
    (32768, 2048, 1024),
    (32768, 512, 2048),
    (32768, 514, 256),  # queries: rows that are not aligned
    (524288, 1152, 64),  # the autoencoder's 3x3
    (1152, 524288, 64),
    (524288, 64, 1152),
    (2097152, 48, 64),  # its first 4x4
    (48, 2097152, 64),
)


def measure(report, scale):
    """Each as a rate, products with their error as well."""
    count = NUMBERS[scale]
    report.tried("copy", lambda: _copy(count))
    report.tried("sum", lambda: _sum(count))
    for sizes in PRODUCTS:
        sizes = sizes if scale == "device" else tuple(max(1, n // 2**9) for n in sizes)
        for precision in PRECISIONS:
            name = "product " + " ".join(map(str, sizes))
            report.tried(name, lambda s=sizes, p=precision: _product(*s, p), precision=precision)
        device_memory.release()


def normal(*shape):
    """Normal numbers on the device: a million different ones."""
    cupy = array_module()
    count = int(np.prod(shape))
    some = to_device(np.random.default_rng(0).standard_normal(min(count, 2**20), np.float32))
    return cupy.tile(some, -(-count // len(some)))[:count].reshape(shape)


def _copy(count):
    cupy = array_module()
    source, target = normal(count), cupy.empty(count, np.float32)
    seconds = seconds_of_run(lambda: cupy.copyto(target, source))
    return {"ms": 1e3 * seconds, "GB/s": 2 * source.nbytes / seconds / 1e9}


def _sum(count):
    numbers = normal(count)
    seconds = seconds_of_run(numbers.sum)
    return {"ms": 1e3 * seconds, "GB/s": numbers.nbytes / seconds / 1e9}


def _product(rows, inner, columns, precision):
    cupy = array_module()
    a, b, out = normal(rows, inner), normal(inner, columns), cupy.empty((rows, columns), "f4")
    with backends.use(precision=precision):
        factors = half.halved(a), half.halved(b)
        seconds = seconds_of_run(lambda: cublas.multiply(*factors, out=out))
    exact = a[:64].astype(np.float64) @ b.astype(np.float64)[:, :64]
    error = (((out[:64, :64] - exact) ** 2).sum() / (exact**2).sum()) ** 0.5
    rate = 2 * rows * inner * columns / seconds
    return {"ms": 1e3 * seconds, "TFLOP/s": rate / 1e12, "relative_error": float(error)}
