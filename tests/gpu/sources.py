"""All CUDA sources of the project."""

import importlib
import pkgutil

import backends
from backends.cuda import Source


def all_sources():
    """{file name: `Source`} of every kernel family."""
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.iter_modules(backends.__path__, "backends.")
    ]
    found = {s for module in modules for s in vars(module).values() if isinstance(s, Source)}
    return {source.path.name: source for source in sorted(found, key=lambda s: s.path.name)}
