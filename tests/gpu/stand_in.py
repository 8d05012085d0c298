"""A strict stand-in for the module cupy, on the processor.

    with installed() as counts:
        ...                         # `import cupy` gives the stand-in; backend "cupy" works

It computes with NumPy, and kernels given as CUDA C++ run on the processor (`cpu_kernels`). It has
only the names and keywords that the real CuPy has (`cupy_names.json`). It is stricter than CuPy in
refusing host arrays wherever CuPy would copy them to the device in silence, and it counts what
costs time on a device: copies to it ("uploads") and from it ("downloads"), and moments at which
the host waits for it ("waits"). Fresh memory is full of NaN.
"""

import collections
import contextlib
import functools
import importlib.machinery
import json
import sys
import time
import types
from pathlib import Path

import numpy as np

from tests.gpu import stand_in_cublas, stand_in_graph
from tests.gpu.cpu_kernels import SHARED_LIMIT, CpuModule

SNAPSHOT = json.loads(Path(__file__).with_name("cupy_names.json").read_text())
counts = collections.Counter()

# Functions that learn the shape of their result from the device.
_WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "extract", "array_equal", "allclose"}
_INDICES = (int, np.integer, slice, type(None), type(Ellipsis))


def _download(array):
    stand_in_graph.refuse("copying to the host")
    counts["downloads"] += 1
    counts["waits"] += 1
    return array


def _host(value, where):
    """The NumPy array inside of a device array; other things as they are, but no host arrays."""
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"{where} was given a host array: a real cupy refuses it, or copies it")
    if isinstance(value, list | tuple):
        return type(value)(_host(item, where) for item in value)
    return value


def _device(value):
    """Results as CuPy gives them: arrays on the device, 0-dimensional for NumPy's scalars."""
    if isinstance(value, np.ndarray | np.generic):
        stand_in_graph.refuse("an array operation")
        return ndarray(np.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(_device(item) for item in value)
    return value


def _call(function, name, arguments, keywords, parameters):
    if parameters is not None:
        unknown = set(keywords) - set(parameters)
        if unknown or len(arguments) > len(parameters):
            raise TypeError(f"cupy.{name} takes {parameters}, got {sorted(unknown)}")
    if name in _WAITING:
        counts["waits"] += 1
    out = keywords.get("out")
    arguments = _host(tuple(arguments), name)
    result = function(*arguments, **{key: _host(v, name) for key, v in keywords.items()})
    return out if out is not None else _device(result)


class ndarray:  # noqa: N801  (cupy's name)
    """An array that only the device may touch."""

    __slots__ = ("__weakref__", "_array")
    __array_ufunc__ = None  # a NumPy function or array that meets one raises TypeError
    __hash__ = None

    def __init__(self, array):
        object.__setattr__(self, "_array", array)

    def __array__(self, *arguments, **keywords):
        raise TypeError("implicit conversion of a device array to a NumPy array")

    def __array_function__(self, function, *_):
        raise TypeError(f"numpy.{function.__name__} was given a device array")

    @property
    def data(self):
        """Where the first element lies, as `.ptr`."""
        return types.SimpleNamespace(ptr=stand_in_cublas.Pointer(self._array))

    def get(self):
        """A copy on the host."""
        return _download(self._array.copy())

    def item(self):
        """The only element, on the host."""
        return _download(self._array.item())

    def tolist(self):
        """Nested lists, on the host."""
        return _download(self._array.tolist())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return self.item().__index__()

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"stand_in.{self._array!r}"

    def _index(self, index):
        if isinstance(index, tuple):
            return tuple(self._index(part) for part in index)
        if isinstance(index, ndarray):
            counts["waits"] += index.dtype == bool
            return index._array
        if not isinstance(index, _INDICES):
            raise TypeError(f"a device array was indexed by a {type(index).__name__} of the host")
        return index

    def __getitem__(self, index):
        return _device(self._array[self._index(index)])

    def __setitem__(self, index, value):
        if isinstance(value, list | tuple):
            raise TypeError("a Python sequence was assigned to a part of a device array")
        stand_in_graph.refuse("assignment")
        self._array[self._index(index)] = _host(value, "assignment")

    def __getattr__(self, name):
        if name not in SNAPSHOT["ndarray"]:
            raise AttributeError(f"cupy.ndarray has no {name!r}")
        value = getattr(self._array, name)
        if name == "flags" or not callable(value):
            return _device(value) if isinstance(value, np.ndarray) else value
        parameters = SNAPSHOT["ndarray"][name]

        def method(*arguments, **keywords):
            return _call(value, name, arguments, keywords, parameters)

        return method


def _count_product(a, b):
    counts["operations"] += 2 * a.size * b.shape[-1]


def _operator(name):
    def operate(self, other):
        if isinstance(other, list | tuple):
            raise TypeError(f"{name}: a device array meets a Python sequence")
        if name == "__matmul__":
            _count_product(self, other)
        result = getattr(self._array, name)(_host(other, name))
        if result is NotImplemented:
            return NotImplemented
        return self if name.startswith("__i") else _device(result)

    return operate


_ARITHMETIC = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
_COMPARISONS = "lt le gt ge eq ne"
_UNARY = "neg pos abs invert"

for _name in _ARITHMETIC.split():
    for _prefix in ("", "r", "i"):
        setattr(ndarray, f"__{_prefix}{_name}__", _operator(f"__{_prefix}{_name}__"))
for _name in _COMPARISONS.split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in _UNARY.split():
    _method = f"__{_name}__"
    setattr(ndarray, _method, lambda self, _m=_method: _device(getattr(self._array, _m)()))


class _Ufunc:
    """A function of elements, with only those methods that cupy's has; no `where=`."""

    def __init__(self, name):
        self.name, self.function = name, getattr(np, name)

    def __call__(self, *arguments, **keywords):
        if any(isinstance(a, list | tuple) for a in arguments):
            raise TypeError(f"cupy.{self.name} was given a Python sequence")
        allowed = [f"x{i}" for i in range(self.function.nargs)] + ["out", "dtype", "casting"]
        return _call(self.function, self.name, arguments, keywords, allowed)

    def __getattr__(self, name):
        if name not in SNAPSHOT["ufunc"][self.name]:
            raise AttributeError(f"cupy.{self.name} has no {name!r}")
        method = getattr(self.function, name)
        return lambda *a, **k: _call(method, f"{self.name}.{name}", a, k, None)


class _Module(types.ModuleType):
    """NumPy behind the names of a module of CuPy's; special ones are set as attributes."""

    def __init__(self, name, source, **special):
        super().__init__(name)
        self._source = source
        self.__dict__.update(special)

    def __getattr__(self, name):
        names = SNAPSHOT[self.__name__]
        if name.startswith("__") or name not in names:
            raise AttributeError(f"{self.__name__} {SNAPSHOT['version']} has no {name!r}")
        value = getattr(self._source, name)
        if name in SNAPSHOT["ufunc"] and isinstance(value, np.ufunc):
            value = _Ufunc(name)
        elif callable(value) and not isinstance(value, type):
            value = functools.partial(_convert, value, name, names[name])
        self.__dict__[name] = value
        return value


def _convert(function, name, parameters, *arguments, **keywords):
    return _call(function, name, arguments, keywords, parameters)


def _array(value, dtype=None, copy=True):
    if isinstance(value, ndarray):
        same = not copy and dtype in (None, value.dtype)
        return value if same else ndarray(np.array(value._array, dtype))
    array = np.array(value, dtype)
    stand_in_graph.refuse("copying from the host")
    counts["uploads"] += 1
    counts["bytes"] += array.nbytes
    return ndarray(array)


def _asarray(value, dtype=None):
    return _array(value, dtype, copy=False)


def _asnumpy(value):
    return value.get() if isinstance(value, ndarray) else np.asarray(value)


def _ascontiguousarray(value, dtype=None):
    return _device(np.ascontiguousarray(_host(value, "ascontiguousarray"), dtype))


def _empty(shape, dtype=float):
    stand_in_graph.refuse("allocating memory")
    sys.modules["cupy"].get_default_memory_pool().take(np.prod(shape) * np.dtype(dtype).itemsize)
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return ndarray(array)


def _empty_like(array, dtype=None):
    return _empty(array.shape, dtype or array.dtype)


class RawModule:
    """Kernels in CUDA C++, run on the processor."""

    def __init__(self, *, code, options=(), backend="nvrtc"):
        self.module = CpuModule(code=code, options=options)

    def get_function(self, name):
        """A kernel that takes device arrays and NumPy scalars."""
        return _RawKernel(self.module.get_function(name))


class _DriverError(RuntimeError):
    """What the driver answers to what it does not do."""


class _RawKernel:
    def __init__(self, kernel):
        object.__setattr__(self, "kernel", kernel)

    def __setattr__(self, name, value):
        if name != "max_dynamic_shared_size_bytes":
            raise AttributeError(name)
        if value > SHARED_LIMIT:
            raise _DriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self.kernel.max_dynamic_shared_size_bytes = value

    def __call__(self, grid, block, args, *, shared_mem=0):
        counts["kernels"] += 1
        arguments = _host(tuple(args), self.kernel.name)
        stand_in_graph.launch(
            functools.partial(self.kernel, grid, block, arguments, shared_mem=shared_mem)
        )


def _cuda():
    return _checked(
        "cupy.cuda",
        Device=lambda: types.SimpleNamespace(id=0),
        Stream=stand_in_graph.stream(counts),
        runtime=_checked("cupy.cuda.runtime", **_runtime()),
        driver=types.SimpleNamespace(CUDADriverError=_DriverError),
        cublas=_checked("cupy.cuda.cublas", **vars(stand_in_cublas.module(counts))),
        device=_checked("cupy.cuda.device", get_cublas_handle=lambda: 1),
        nvrtc=types.SimpleNamespace(getVersion=lambda: (13, 0)),
        Event=_Event,
        get_elapsed_time=lambda start, end: 1000 * (end.time - start.time),
        set_allocator=lambda allocator: None,
    )


class _Event:
    """A moment on the device."""

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        counts["waits"] += 1


class _Pool:
    """A memory pool that refuses an array larger than its limit, and holds the largest so far."""

    def __init__(self):
        self.limit, self.held = 0, 0

    def take(self, size):
        if self.limit and size > self.limit:
            raise MemoryError(f"Out of memory allocating {size:,} bytes (limit {self.limit:,})")
        self.held = max(self.held, size)

    def set_limit(self, size=None, fraction=None):
        self.limit = size

    def get_limit(self):
        return self.limit

    def total_bytes(self):
        return int(self.held)

    def free_all_blocks(self, stream=None):
        self.held = 0


def _checked(name, **members):
    """A module of CuPy's with these members, all of which the real one has."""
    found = {*SNAPSHOT[name], *(key.rpartition(".")[2] for key in SNAPSHOT if "cuda." in key)}
    missing = set(members) - found
    assert not missing, f"{name} {SNAPSHOT['version']} has no {missing}"
    return types.SimpleNamespace(**members)


def _runtime():
    return dict(
        CUDARuntimeError=RuntimeError,
        CUDA_R_32F=0,
        CUDA_R_16F=2,
        CUDA_R_16BF=14,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda _: {"name": b"stand-in", "major": 9, "minor": 0},
        memGetInfo=lambda: (2**33, 2**34),
    )


def _matmul(a, b, out=None):
    _count_product(a, b)
    return _call(np.matmul, "matmul", (a, b), {} if out is None else {"out": out}, None)


def _cupy():
    pool = _Pool()
    module = _Module(
        "cupy",
        np,
        __version__=SNAPSHOT["version"],
        __spec__=importlib.machinery.ModuleSpec("cupy", None),
        RawModule=RawModule,
        array=_array,
        asarray=_asarray,
        ascontiguousarray=_ascontiguousarray,
        asnumpy=_asnumpy,
        cuda=_cuda(),
        empty=_empty,
        get_default_memory_pool=lambda: pool,
        empty_like=_empty_like,
        matmul=_matmul,
        linalg=_Module("cupy.linalg", np.linalg),
        ndarray=ndarray,
    )
    return module


@contextlib.contextmanager
def installed():
    """Inside, the stand-in is the module cupy; yields the counts, starting from zero."""
    former = sys.modules.get("cupy")
    sys.modules["cupy"] = _cupy()
    counts.clear()
    try:
        yield counts
    finally:
        del sys.modules["cupy"]
        if former is not None:
            sys.modules["cupy"] = former
