"""All CUDA sources of the project."""

import importlib
import pkgutil

import backends.cupy
from backends.cupy.engine.cuda import Source


def all_sources():
    """{file name: `Source`} of every kernel family."""
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(backends.cupy.__path__, "backends.cupy.")
    ]
    found = {s for module in modules for s in vars(module).values() if isinstance(s, Source)}
    return {source.path.name: source for source in sorted(found, key=lambda s: s.path.name)}
