"""Kernels and their versions, and which backend runs them in which precision.

A *kernel* is one array operation with one meaning and one signature. It is made from its reference,
a plain function that reads like the formula; a backend registers a faster version of the same name
and signature:

    scale = Kernel(reference.scale)

    @scale.version("numba")
    def scale(x, factor): ...

`scale(x, 2)` runs the version of the selected backend. A version that does not exist raises:
nothing falls back to another backend, unless that was said when the backend was registered
(`register`).
"""

import functools
import importlib
import importlib.util
import inspect
import os
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, ParamSpec, TypeVar

from backends.process.device import why_no_device

BACKENDS = ("reference", "numba", "cupy")  # those that come with this package
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")  # of products, see `precision.py`

_otherwise = dict.fromkeys(BACKENDS)  # {backend: who serves the kernels that it has no version of}
# {backend: the module of its arrays}, of those that brought one
modules_of_arrays: dict[str, ModuleType] = {}


class BackendError(RuntimeError):
    """A backend, or a kernel's version for it, is not there; the message says what to do."""


def register(name, otherwise, arrays=None):
    """Add a backend of one's own; the backend `otherwise` serves the kernels that it lacks.

    Where it computes, on the processor or on a device, is where `otherwise` does; unless it brings
    `arrays`, a module with the functions of cupy's, which then computes in the place of cupy. It
    gets its own versions of kernels by `@kernels.NAME.version(name)`, and `unregister` takes all of
    that back.
    Raises `BackendError` for a name that is taken, or when there is no backend `otherwise`.
    """
    _require_known(otherwise)
    if name in _otherwise:
        raise BackendError(f"there is a backend {name!r} already: choose another name")
    _otherwise[name] = otherwise
    if arrays is not None:
        modules_of_arrays[name] = arrays


def unregister(name):
    """Take a backend that was registered out again, with its versions of all kernels.

    Raises `BackendError` for a backend of this package, one that is selected, or one that serves
    another.
    """
    _require_known(name)
    if name in BACKENDS or name == use._current or name in _otherwise.values():
        raise BackendError(f"the backend {name!r} is in use: it cannot be taken out")
    del _otherwise[name]
    modules_of_arrays.pop(name, None)
    for kernel in Kernel.all:
        kernel.versions.pop(name, None)


def _require_known(name):
    if name not in _otherwise:
        raise BackendError(_unknown(name))


def _unknown(name):
    return f"there is no backend {name!r}: choose one of {', '.join(_otherwise)}"


def _serving(name):
    """The backends that serve the kernels of backend `name`: itself first."""
    while name is not None:
        yield name
        name = _otherwise[name]


class use:
    """Select a backend, the precision of products, or both, as a call or as a context manager.

        backends.use("reference")               # from here on
        with backends.use("numba"): ...         # inside only; the former choice returns afterwards,
                                                # also when an exception is raised
        with backends.use(precision="bfloat16"): ...        # with the backend that is selected

    Raises `BackendError` for an unknown name or a backend that cannot run here.
    """

    _current = None  # not chosen yet
    _precision = "float32"

    def __init__(self, name=None, precision=None):
        reason = name is not None and why_unavailable(name)
        if precision not in (None, *PRECISIONS):
            reason = f"there is no precision {precision!r}: choose one of {', '.join(PRECISIONS)}"
        if reason:
            raise BackendError(reason)
        self._former = use._current, use._precision
        if name is not None:
            _load(name)
            use._current = name
        use._precision = precision or use._precision

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        use._current, use._precision = self._former


def _load(name):
    """Import what registers the versions of a backend: `backends.numba`, `backends.cupy`."""
    for serving in _serving(name):
        if serving in BACKENDS:
            importlib.import_module(f"backends.{serving}")


def current():
    """The name of the selected backend.

    Until `use` is called it is the one named by the variable VQV2_BACKEND, or "numba". Raises
    `BackendError` when that one cannot be used.
    """
    if use._current is None:
        use(os.environ.get("VQV2_BACKEND") or "numba")
    return use._current


def current_precision():
    """The selected precision of matrix products, one of `PRECISIONS`; "float32" until `use`."""
    return use._precision


def on_device():
    """Whether the selected backend computes on a CUDA device."""
    return "cupy" in _serving(current())


def why_unavailable(name):
    """One sentence saying why backend `name` cannot be used here, or None when it can."""
    if name not in _otherwise:
        return _unknown(name)
    serving = set(_serving(name))
    if "numba" in serving and importlib.util.find_spec("numba") is None:
        return "the numba backend needs the package numba: pip install numba"
    on_cupy = "cupy" in serving and name not in modules_of_arrays
    return why_no_device() if on_cupy else None


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Kernel(Generic[Parameters, Result]):
    """One array operation and its versions per backend; calling it runs the selected one."""

    all: weakref.WeakSet["Kernel[..., Any]"] = weakref.WeakSet()

    def __init__(self, reference: Callable[Parameters, Result]):
        functools.update_wrapper(self, reference)
        self.reference = reference
        self.versions = {"reference": reference}
        Kernel.all.add(self)

    def version(self, name):
        """Register the decorated function as this kernel's version for backend `name`.

        Raises `TypeError` when its parameters differ from the reference's, and `BackendError` when
        there is no such backend.
        """
        _require_known(name)

        def register(function):
            ours, theirs = inspect.signature(self.reference), inspect.signature(function)
            if ours != theirs:
                raise TypeError(f"{function.__name__}{theirs} differs from {self.__name__}{ours}")
            self.versions[name] = function
            return function

        return register

    def __call__(self, *arguments: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        """Run the selected backend's version. Raises `BackendError` when there is none."""
        try:
            function = self.versions[current()]
        except KeyError:
            function = self._served()
        return function(*arguments, **keywords)

    def _served(self):
        """The version of the backend that serves the selected one."""
        for name in _serving(current()):
            if name in self.versions:
                return self.versions[name]
        raise BackendError(
            f"the kernel {self.__name__} has no version for the backend {current()!r}, only for "
            f"{', '.join(self.versions)}"
        )
