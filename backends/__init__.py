"""Array kernels with swappable backends: plain arrays in, plain arrays out, no gradient tape.

This package knows nothing of `vqv2`. Each file holds one family of kernels: first the reference,
which reads like the formula, then its fast versions with the same signature and meaning.

    backends.use("reference" | "numba" | "cupy")    as a call or a context manager
    backends.use(precision="float32" | "tf32" | "float16" | "bfloat16")    of matrix products
"""

import backends.heap
import backends.threads  # noqa: F401  (first: both are read when NumPy loads)
from backends.compiled import (
    cached_kernels,
    compilation_counts,
    compilation_seconds,
    compilation_summary,
)
from backends.device import device_description, missing_libraries
from backends.memory import limit_memory, pool_bytes
from backends.selection import (
    BACKENDS,
    PRECISIONS,
    BackendError,
    Kernel,
    current,
    current_precision,
    kernel,
    use,
    why_unavailable,
)
from backends.timing import seconds_of
from backends.transfer import array_module, to_device, to_host

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "BackendError",
    "Kernel",
    "array_module",
    "cached_kernels",
    "compilation_counts",
    "compilation_seconds",
    "compilation_summary",
    "current",
    "current_precision",
    "device_description",
    "kernel",
    "limit_memory",
    "missing_libraries",
    "pool_bytes",
    "seconds_of",
    "to_device",
    "to_host",
    "use",
    "why_unavailable",
]
