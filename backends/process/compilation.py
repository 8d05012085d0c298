"""What was compiled in this process, what came from disk, and how long that took."""

import contextlib
import time
from pathlib import Path

_functions = []
_surroundings = []


def watch(function):
    """Count a function's compilations from now on.

    It has `counts()`, (compiled, loaded from disk), `seconds`, and `cache_folder()`, where its
    machine code is kept, or None.
    """
    _functions.append(function)


@contextlib.contextmanager
def compiling(function):
    """Inside, `function` is compiled, which adds to its `seconds`."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        for surrounding in _surroundings:
            stack.enter_context(surrounding())
        yield
    function.seconds += time.perf_counter() - start


@contextlib.contextmanager
def surround_compilations(surrounding):
    """Context manager: inside, each compilation is done within the context `surrounding()`.

    `compilation_counts` has counted the one that begins.
    """
    _surroundings.append(surrounding)
    try:
        yield
    finally:
        _surroundings.remove(surrounding)


def compilation_counts():
    """(compiled, loaded): specialisations made in this process, and those found on disk."""
    counts = [function.counts() for function in _functions]
    return sum(c for c, _ in counts), sum(loaded for _, loaded in counts)


def compilation_seconds():
    """Seconds that this process spent compiling."""
    return sum(function.seconds for function in _functions)


def compilation_summary():
    """Counts and seconds in words: "3 compiled in 12 s, 20 loaded from disk"."""
    made, loaded = compilation_counts()
    return f"{made} compiled in {compilation_seconds():.0f} s, {loaded} loaded from disk"


def cached_kernels():
    """{folder: number of specialisations} of the disk cache of the backends in use.

    Imports Numba, where its backend is in use, to ask where that is.
    """
    folders = {function.cache_folder() for function in _functions} - {None}
    return {folder: len(list(Path(folder).glob("*.nbc"))) for folder in sorted(folders)}
