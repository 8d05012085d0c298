"""Numba compilation, put off until the first call and cached on disk.

Numba takes longer to import than everything else together, so `import backends` must not import
it. `@compiled` wraps a plain Python function and hands it to `numba.njit` when it is first called.
Set NUMBA_DISABLE_JIT=1 to run such functions as plain Python, under a debugger if you like.
"""

import functools
import types

import numpy as np

from backends.numba.engine.cache import keep_on_disk
from backends.numba.engine.fork import require_threads
from backends.numba.engine.linking import compile_within
from backends.numba.engine.threading_layer import load_tbb
from backends.process import compilation

# NaN and infinity keep their meaning (no "nnan", "ninf"); sums may be reordered to vectorise.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}

prange = range  # what a kernel's source imports; `numba.prange` when it is compiled


class Part:
    """A piece of a kernel in a function of its own, compiled along with the kernels that call it.

    From Python it runs as what it is written as. `build`, where given, makes what compiled code
    calls in its place; otherwise that is the function compiled, with these liberties (`FASTMATH`).
    """

    def __init__(self, function, build=None, fastmath=FASTMATH):
        functools.update_wrapper(self, function)
        self._function = function
        self._fastmath = fastmath
        self._build = build or self._compile
        self._dispatcher = None

    def __call__(self, *arguments):
        """Run it as plain Python."""
        return self._function(*arguments)

    def dispatcher(self):
        """What compiled code calls in its place."""
        if self._dispatcher is None:
            self._dispatcher = self._build()
        return self._dispatcher

    def _compile(self):
        import numba

        return numba.njit(
            fastmath=self._fastmath,
            error_model="numpy",
            nogil=True,
            no_cpython_wrapper=True,  # from Python it is not called as compiled
            no_cfunc_wrapper=True,
        )(_with_compiled_names(self._function))


def _with_compiled_names(function):
    """A copy of a function in which `prange` and the names of parts mean what is compiled."""
    import numba

    if numba.config.DISABLE_JIT:
        return function
    names = {**function.__globals__, "prange": numba.prange}
    for name in function.__code__.co_names:
        if isinstance(names.get(name), Part):
            names[name] = names[name].dispatcher()
    copy = types.FunctionType(function.__code__, names, function.__name__)
    return functools.update_wrapper(copy, function)


class Compiled:
    """A function that Numba compiles at its first call, for several processor cores."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self._function = function
        self._dispatcher = None
        self.seconds = 0.0
        compilation.watch(self)

    def __call__(self, *arguments):
        """Run the function; compile it first where that has not been done.

        Raises `BackendError` in a forked process whose threads did not survive.
        """
        require_threads()
        return self.dispatcher()(*arguments)

    def dispatcher(self):
        """Numba's object for the function; makes it, and imports Numba, where that is not done."""
        if self._dispatcher is None:
            load_tbb()
            import numba

            self._dispatcher = numba.njit(
                parallel=True,
                fastmath=FASTMATH,
                error_model="numpy",
                nogil=True,
                no_cfunc_wrapper=True,  # nor is it called from C
            )(_with_compiled_names(self._function))
            if not numba.config.DISABLE_JIT:
                keep_on_disk(self._dispatcher)
                compile_within(self._dispatcher, lambda: compilation.compiling(self))
        return self._dispatcher

    def counts(self):
        """(compiled in this process, loaded from the disk cache) for this function."""
        stats = getattr(self._dispatcher, "stats", None)
        if stats is None:
            return 0, 0
        return sum(stats.cache_misses.values()), sum(stats.cache_hits.values())

    def cache_folder(self):
        """Where its machine code is kept on disk; None with NUMBA_DISABLE_JIT."""
        stats = getattr(self.dispatcher(), "stats", None)
        return stats and stats.cache_path


def compiled(function):
    """Decorator: compile `function` with Numba at its first call (see `Compiled`).

    The function must stand alone: loops over arrays and `math` functions, `numba.prange` spelled
    `prange`, imported from here. What several kernels share is a function marked `@part`.
    """
    return Compiled(function)


def part(function):
    """Decorator: a function that compiled kernels may call (see `Part`)."""
    return Part(function)


def ordered_part(function):
    """Decorator: the same for sums that are added up in the order in which they are written."""
    return Part(function, fastmath=FASTMATH - {"reassoc"})


@part
def copy(source, target):
    """target[i] = source[i] for all of target; in compiled code.

    Assigning to a slice does the same, but Numba compiles a message about shapes with it, which
    takes seconds.
    """
    for i in range(len(target)):
        target[i] = source[i]


def flat(x):
    """The numbers of a host array one after the other, as elementwise loops take them.

    A copy where they do not lie so in memory.
    """
    return np.ascontiguousarray(x).reshape(-1)
