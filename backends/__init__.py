"""Array kernels with swappable backends: plain arrays in, plain arrays out, no gradient tape.

This package knows nothing of `vqv2`.

    kernels.py      all kernels by name: `kernels.conv2d(x, w, stride, padding)` is what others call
    reference/      each of them as a formula, on NumPy or CuPy; read this first
    numba/  cupy/   the same families again, compiled for processors and for NVIDIA GPUs
    kernel.py       what a kernel is, its versions, and which backend is selected
    arrays.py       which array module, and copies between processor and GPU
    precision.py    how far the factors of matrix products are rounded
    process/        threads, memory, the device, communication of several processes

    backends.use("reference" | "numba" | "cupy")    as a call or a context manager
    backends.use(precision="float32" | "tf32" | "float16" | "bfloat16")    of matrix products
    backends.register("mine", otherwise="numba")    a backend of one's own
"""

import backends.process.allocator
import backends.process.threads  # noqa: F401  (first: both are read when NumPy loads)
from backends.arrays import Array, array_module, to_device, to_host
from backends.kernel import (
    BACKENDS,
    PRECISIONS,
    BackendError,
    Kernel,
    current,
    current_precision,
    register,
    unregister,
    use,
    why_unavailable,
)
from backends.process.compilation import (
    cached_kernels,
    compilation_counts,
    compilation_seconds,
    compilation_summary,
    surround_compilations,
)
from backends.process.device import missing_libraries
from backends.process.device_description import compute_capability, device_description
from backends.process.device_memory import limit_memory, pool_bytes
from backends.process.timing import seconds_of

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Array",
    "BackendError",
    "Kernel",
    "array_module",
    "cached_kernels",
    "compilation_counts",
    "compilation_seconds",
    "compilation_summary",
    "compute_capability",
    "current",
    "current_precision",
    "device_description",
    "limit_memory",
    "missing_libraries",
    "pool_bytes",
    "register",
    "seconds_of",
    "surround_compilations",
    "to_device",
    "to_host",
    "unregister",
    "use",
    "why_unavailable",
]
