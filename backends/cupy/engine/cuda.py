"""Loading and launching the CUDA kernels: the .cu files beside the Python files that use them.

A family of kernels is one `Source`. Nothing is compiled, and cupy is not imported, before the
first launch; then the whole file is compiled once per process for each number type (CuPy keeps
the result on disk as well):

    _cuda = cuda.Source(__file__)              # elementwise.cu, beside elementwise.py
    _cuda.each("elu", x.size, x, y)            # one thread per element of y

Every file is compiled after `prelude.cuh`, for `Real`, which is float or double. Kernels never
wait for the host, and the same input gives the same bits: no sum depends on the order in which
threads happen to run.
"""

from pathlib import Path

import numpy as np

from backends.arrays import array_module
from backends.kernel import BackendError

PRELUDE = Path(__file__).with_name("prelude.cuh")
THREADS = 256  # per block, where the kernel does not care
WARP = 32  # threads that run in step
MOST_BLOCKS = 2**20  # of a kernel that loops over its elements: enough to fill any device
SHARED_BYTES = 40 * 1024  # of a launch, without asking: 48 KiB less what kernels declare

_REAL = {"f": "float", "d": "double"}


class Source:
    """The kernels of the .cu file beside a Python file; `constants` become its macros."""

    def __init__(self, python_file, **constants):
        self.path = Path(python_file).with_suffix(".cu")
        self.constants = constants
        self._modules = {}
        self._functions = {}
        self._granted = {}  # most bytes of shared memory that a function has asked for

    def code(self):
        """The text that is compiled."""
        return PRELUDE.read_text() + f'#line 1 "{self.path.name}"\n' + self.path.read_text()

    def options(self, dtype):
        """The compiler's options for arrays of `dtype`. Raises `BackendError` for half precision
        and whole numbers, which the kernels do not compute in."""
        if np.dtype(dtype).char not in _REAL:
            raise BackendError(
                f"the kernels of {self.path.name} compute in float32 and float64, not in "
                f"{np.dtype(dtype)}: convert the arrays with .astype"
            )
        macros = {"Real": _REAL[np.dtype(dtype).char], **self.constants}
        return ("--std=c++17", *(f"-D{name}={value}" for name, value in macros.items()))

    def _function(self, dtype, kernel):
        cupy = array_module()

        key = (cupy.RawModule, dtype)  # arrays may be those of another device (`backends.shapes`)
        if key not in self._modules:
            self._modules[key] = cupy.RawModule(code=self.code(), options=self.options(dtype))
        if (*key, kernel) not in self._functions:
            self._functions[(*key, kernel)] = self._modules[key].get_function(kernel)
        return self._functions[(*key, kernel)]

    def launch(self, kernel, blocks, threads, *arguments, shared=0, dtype=None):
        """Start `kernel` on a grid of `blocks` blocks of `threads` (a number or (x, y)).

        `dtype` is what `Real` is, by default that of the first argument, an array. Python's whole
        numbers become `int`, its other numbers `Real`; arrays and NumPy scalars go as they are.
        Arrays must lie without gaps. With no blocks nothing happens. Raises `BackendError` when the
        device has less than `shared` bytes of shared memory for a block.
        """
        dtype = np.dtype(dtype or arguments[0].dtype)
        if not blocks:
            return
        function = self._function(dtype, kernel)
        if shared > self._granted.get(function, SHARED_BYTES):
            self._granted[function] = _granted(function, kernel, shared)
        threads = threads if isinstance(threads, tuple) else (threads,)
        passed = tuple(_argument(kernel, a, dtype) for a in arguments)
        function((blocks,), threads, passed, shared_mem=shared)

    def each(self, kernel, count, *arguments, dtype=None):
        """Start `kernel` with one thread for each of `count` elements; `count` goes last."""
        blocks = min(blocks_of(count, THREADS), MOST_BLOCKS)
        self.launch(kernel, blocks, THREADS, *arguments, np.int64(count), dtype=dtype)


def _granted(function, kernel, shared):
    """`shared`, once the device lets blocks of a kernel have as many bytes of shared memory."""
    cupy = array_module()

    try:
        function.max_dynamic_shared_size_bytes = shared
    except cupy.cuda.driver.CUDADriverError as error:
        raise BackendError(
            f"the kernel {kernel} needs {shared / 1024:.0f} KiB of shared memory for a block, more "
            "than this device has: attention heads of fewer channels, and smaller maps, need less"
        ) from error
    return shared


def _argument(kernel, value, dtype):
    if isinstance(value, int):
        return np.int32(value)  # raises OverflowError rather than cut
    if isinstance(value, float):
        return dtype.type(value)
    is_array = hasattr(value, "flags") and not isinstance(value, np.generic)
    if is_array and not value.flags.c_contiguous:
        raise ValueError(f"{kernel} was given an array with gaps between its elements")
    return value


def blocks_of(count, size):
    """How many blocks of `size` hold `count` things."""
    return -(-count // size)


def threads_along(length):
    """Threads (x, y) of a block whose x runs along `length` neighbours in memory, y over others."""
    along = min(THREADS // 2, max(WARP, blocks_of(length, WARP) * WARP))
    return along, THREADS // along


def optional(array, other):
    """(array, 1), or where it is None (`other`, which the kernel then does not touch, 0)."""
    return (contiguous(other), 0) if array is None else (contiguous(array), 1)


def contiguous(array, dtype=None):
    """`array` without gaps between its elements, copied only where that is needed."""
    return array_module(array).ascontiguousarray(array, dtype)
