"""Which backend runs the kernels, in which precision, and the versions that each kernel has.

A *kernel* is one array operation with one meaning and one signature, written once per backend:

    @kernel
    def scale(x, factor):              # the reference: reads like the formula, for NumPy and CuPy
        return x * factor

    @scale.version("numba")
    def _scale_numba(x, factor):       # the fast one, same parameters in the same order
        ...

`scale(x, 2)` then runs the version of the selected backend. A version that does not exist raises;
nothing ever falls back to another backend.
"""

import functools
import importlib.util
import inspect
import os

from backends.device import why_no_device

BACKENDS = ("reference", "numba", "cupy")
PRECISIONS = ("float32", "tf32", "float16", "bfloat16")  # of products, see `precision.py`


class BackendError(RuntimeError):
    """A backend, or a kernel's version for it, is not there; the message says what to do."""


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
        use._current = use._current if name is None else name
        use._precision = precision or use._precision

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        use._current, use._precision = self._former


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


def why_unavailable(name):
    """One sentence saying why backend `name` cannot be used here, or None when it can."""
    if name not in BACKENDS:
        return f"there is no backend {name!r}: choose one of {', '.join(BACKENDS)}"
    if name == "numba" and importlib.util.find_spec("numba") is None:
        return "the numba backend needs the package numba: pip install numba"
    if name == "cupy":
        return why_no_device()
    return None


class Kernel:
    """One array operation and its versions per backend; calling it runs the selected one."""

    def __init__(self, reference, also=()):
        functools.update_wrapper(self, reference)
        self.reference = reference
        self.versions = dict.fromkeys(("reference", *also), reference)

    def version(self, *names):
        """Register the decorated function as this kernel's version for the backends `names`.

        Raises `TypeError` when its parameters differ from the reference's.
        """

        def register(function):
            ours, theirs = inspect.signature(self.reference), inspect.signature(function)
            if ours != theirs:
                raise TypeError(f"{function.__name__}{theirs} differs from {self.__name__}{ours}")
            self.versions.update(dict.fromkeys(names, function))
            return function

        return register

    def __call__(self, *arguments, **keywords):
        """Run the selected backend's version. Raises `BackendError` when there is none."""
        try:
            function = self.versions[current()]
        except KeyError:
            raise BackendError(
                f"kernel {self.__module__}.{self.__name__} has no version for backend "
                f"{current()!r}, only for {', '.join(self.versions)}"
            ) from None
        return function(*arguments, **keywords)


def kernel(reference=None, *, also=()):
    """Make a `Kernel` of its reference implementation.

    `also` names the backends that the reference serves *by decision*, because nothing faster is
    worth writing: `@kernel(also=("numba",))`.
    """
    if reference is None:
        return functools.partial(Kernel, also=also)
    return Kernel(reference)
