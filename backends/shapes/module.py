"""The functions of cupy that the project calls, for arrays without numbers.

What is read back is zero. Whether the real CuPy has these names, and with which keywords, the
strict stand-in of the tests tells (`tests/gpu/stand_in.py`).
"""

import time
import types

import numpy as np

from backends.shapes.array import (
    REDUCTIONS,
    Selected,
    copied,
    elementwise,
    matmul,
    ndarray,
    new,
    note,
    note_product,
)
from backends.shapes.declarations import declarations
from backends.shapes.host import Zeros
from backends.shapes.launch import TRANSFERS, launch_of, unique_bytes

MEMORY = 80 * 2**30  # bytes of the device


# Kernels of the project, and products.


class RawModule:
    """Kernels in CUDA C++, of which only the declarations are read."""

    def __init__(self, *, code, options=(), backend="nvrtc"):
        self.declared = declarations(code, np.float32)

    def get_function(self, name):
        """A kernel that notes what it is given."""
        declared = {p.name: p.is_array and p.constant for p in self.declared[name]}
        return _RawKernel(name, declared)


class _RawKernel:
    def __init__(self, name, declared):
        self.name, self.declared = name, declared
        self.max_dynamic_shared_size_bytes = 0

    def __call__(self, grid, block, args, *, shared_mem=0):
        Selected.device.launches.append(launch_of(self.name, self.declared, args))


def _gemm(
    handle, turn_a, turn_b, m, n, k, alpha, a, a_kind, lda, b, b_kind, ldb, beta, c, c_kind,
    ldc, compute, algorithm,
):  # fmt: skip
    adds = beta == alpha  # the address of a one, and not of a zero
    sizes = [4 if kind == _RUNTIME["CUDA_R_32F"] else 2 for kind in (a_kind, c_kind)]
    note_product(n, m, k, *sizes, adds)


# The module.


def _asarray(value, dtype=None):
    if isinstance(value, ndarray):
        return value if dtype in (None, value.dtype) else value.astype(dtype)
    value = value if isinstance(value, Zeros) else np.asarray(value)
    made = new(value.shape, dtype or value.dtype)
    note(TRANSFERS, "from the host", 0, made.nbytes)
    return made


def _asnumpy(value):
    return value.get() if isinstance(value, ndarray) else np.asarray(value)


def _ascontiguousarray(value, dtype=None):
    if dtype not in (None, value.dtype):
        return value.astype(dtype)
    return value if value.flags.c_contiguous else copied(value, "ascontiguousarray")


def _filled(name):
    def fill(shape, dtype=float):
        made = new(shape, dtype)
        note("fills", name, 0, made.nbytes)
        return made

    return fill


def _like(function):
    return lambda array, dtype=None: function(array.shape, dtype or array.dtype)


def _full(shape, value, dtype):
    return _filled("full")(shape, dtype)


def _full_like(array, value, dtype=None):
    return _full(array.shape, value, dtype or array.dtype)


def _joined(arrays, shape, name):
    made = new(shape, arrays[0].dtype)
    note("copies", name, sum(map(unique_bytes, arrays)), made.nbytes)
    return made


def _concatenate(arrays, axis=0):
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    return _joined(arrays, shape, "concatenate")


def _stack(arrays, axis=0):
    shape = list(arrays[0].shape)
    shape.insert(axis % (len(shape) + 1), len(arrays))
    return _joined(arrays, shape, "stack")


def _split(array, sections, axis=0):
    return [array._view(part) for part in np.split(array._layout, sections, axis=axis)]


def _where(condition, a, b):
    arrays = [x for x in (condition, a, b) if isinstance(x, ndarray)]
    made = new(
        np.broadcast_shapes(*[x.shape for x in arrays]),
        np.result_type(*[np.empty(0, x.dtype) if isinstance(x, ndarray) else x for x in (a, b)]),
    )
    note("elementwise, CuPy", "where", sum(map(unique_bytes, arrays)), made.nbytes)
    return made


def _tile(array, times):
    made = new(array.size * times, array.dtype)
    note("copies", "tile", array.nbytes, made.nbytes)
    return made


def _copyto(target, source):
    note("copies", "copyto", unique_bytes(source), target.nbytes)


def _arange(*bounds, dtype=None):
    return _filled("arange")(len(range(*bounds)), dtype or np.int64)


def _meshgrid(*axes, indexing="xy"):
    shape = tuple(len(axis) for axis in axes)
    return [_filled("meshgrid")(shape, axis.dtype) for axis in axes]


class _Module(types.ModuleType):
    """NumPy's functions of elements, and its reductions, beside those above."""

    def __getattr__(self, name):
        function = getattr(np, name, None)
        if name.startswith("__") or function is None:
            raise AttributeError(f"the device of shapes has no {name!r}")
        if isinstance(function, np.ufunc):
            made = lambda *arguments, out=None: elementwise(function, arguments, out)  # noqa: E731
        elif name in REDUCTIONS:
            made = lambda array, *a, **k: getattr(array, name)(*a, **k)  # noqa: E731
        elif name in ("broadcast_to", "expand_dims"):
            made = lambda array, *a: array._view(function(array._layout, *a))  # noqa: E731
        elif isinstance(function, type) or not callable(function):
            made = function
        else:
            raise AttributeError(f"the device of shapes has no {name!r}")
        self.__dict__[name] = made
        return made


class _Event:
    """A moment, by the host's clock."""

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        pass


class _Stream:
    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def begin_capture(self, mode=None):
        self.first = len(Selected.device.launches)

    def end_capture(self):
        """A recording, whose launch notes again what was noted while it was made."""
        recorded = Selected.device.launches[self.first :]
        del Selected.device.launches[self.first :]
        return types.SimpleNamespace(launch=lambda: Selected.device.launches.extend(recorded))


class _DriverError(RuntimeError):
    """What a driver might answer."""


_RUNTIME = {
    "CUDARuntimeError": RuntimeError,
    "CUDA_R_32F": 0,
    "CUDA_R_16F": 2,
    "CUDA_R_16BF": 14,
    "driverGetVersion": lambda: 13000,
    "runtimeGetVersion": lambda: 13000,
    "getDeviceCount": lambda: 1,
    "getDeviceProperties": lambda _: {"name": b"shapes only", "major": 9, "minor": 0},
    "memGetInfo": lambda: (MEMORY, MEMORY),
}


def _cuda():
    cublas = types.SimpleNamespace(
        CUBLAS_OP_N=0,
        CUBLAS_OP_T=1,
        CUBLAS_COMPUTE_32F=68,
        CUBLAS_COMPUTE_32F_FAST_TF32=77,
        CUBLAS_GEMM_DEFAULT=-1,
        gemmEx=_gemm,
    )
    return types.SimpleNamespace(
        Device=lambda: types.SimpleNamespace(id=0),
        Event=_Event,
        Stream=_Stream,
        cublas=cublas,
        device=types.SimpleNamespace(get_cublas_handle=lambda: 1),
        driver=types.SimpleNamespace(CUDADriverError=_DriverError),
        get_elapsed_time=lambda start, end: 1000 * (end.time - start.time),
        nvrtc=types.SimpleNamespace(getVersion=lambda: (13, 0)),
        set_allocator=lambda allocator: None,
        runtime=types.SimpleNamespace(**_RUNTIME),
    )


def array_functions():
    """A module with the names of cupy's."""
    module = _Module("shapes")
    zeros, ones = _filled("zeros"), _filled("ones")
    module.__dict__.update(
        __version__="shapes only",
        RawModule=RawModule,
        arange=_arange,
        array=_asarray,
        asarray=_asarray,
        ascontiguousarray=_ascontiguousarray,
        asnumpy=_asnumpy,
        concatenate=_concatenate,
        copyto=_copyto,
        cuda=_cuda(),
        empty=new,
        empty_like=_like(new),
        flatnonzero=lambda array: new(0, np.int64),
        full=_full,
        full_like=_full_like,
        get_default_memory_pool=lambda: Selected.device.pool,
        matmul=matmul,
        meshgrid=_meshgrid,
        ndarray=ndarray,
        ones=ones,
        ones_like=_like(ones),
        split=_split,
        stack=_stack,
        tile=_tile,
        where=_where,
        zeros=zeros,
        zeros_like=_like(zeros),
    )
    return module
