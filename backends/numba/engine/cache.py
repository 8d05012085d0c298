"""The disk cache of compiled kernels: what makes it stale, and what happens where there is none.

Numba keeps machine code in the folder that NUMBA_CACHE_DIR names, in `__pycache__` beside a kernel,
or in the user's cache folder, the first of them that can be written to. It compiles a kernel again
when the kernel's file has changed. But kernels are compiled together with parts and constants of
other files, such as tile.py; here a change of any of them counts.
"""

import functools
import hashlib
import re
import sys
import warnings
from pathlib import Path

# What compiled code can be made of. (All kernels are named in `backends.kernels`: nobody's part.)
PACKAGES = ("backends.numba.", "backends.reference.")

_IMPORT = re.compile(r"^from (backends[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


def keep_on_disk(dispatcher):
    """Let Numba keep what `dispatcher` compiles, as its option `cache=True` does.

    Where no folder can be written to, warns once: the kernels work, but every process compiles
    them.
    """
    from numba.core import caching

    class Implementation(caching.CompileResultCacheImpl):
        def __init__(self, function):
            super().__init__(function)
            own = self._locator.get_source_stamp()
            self._locator.get_source_stamp = lambda: (own, digest(function.__module__))

    class Cache(caching.FunctionCache):
        _impl_class = Implementation

    try:
        dispatcher._cache = Cache(dispatcher.py_func)
    except RuntimeError:  # "no locator available"
        _warn()


@functools.cache
def _warn():
    warnings.warn(
        "no folder for compiled kernels can be written to, so every process compiles them anew: "
        "set the variable NUMBA_CACHE_DIR to one",
        RuntimeWarning,
        stacklevel=2,
    )


@functools.cache
def digest(module):
    """A digest of all files here that the kernels of a module, given by its name, are made of.

    Of a module elsewhere we cannot tell: its kernels may be made of all of them.
    """
    first = [module] if module.startswith(PACKAGES) else list(sys.modules)
    sources = hashlib.sha256()
    for name in sorted(_with_imported(first)):
        sources.update(name.encode() + _source(name))
    return sources.hexdigest()


def _with_imported(modules):
    """Those of the modules that are of `PACKAGES`, and what they import of these."""
    names, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name.startswith(PACKAGES) and name not in names:
            names.add(name)
            waiting += _imported(name)
    return names


def _imported(module):
    """Names of the modules of `backends` that a module imports."""
    for package, names in _IMPORT.findall(_source(module).decode()):
        for name in re.findall(r"\w+", names):
            submodule = f"{package}.{name}"
            yield submodule if submodule in sys.modules else package


@functools.cache
def _source(module):
    return Path(sys.modules[module].__file__).read_bytes()
