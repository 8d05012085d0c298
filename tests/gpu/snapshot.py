"""Writes `cupy_names.json`: what the installed CuPy has, for the stand-in to be held to.

python -m tests.gpu.snapshot          # needs the package cupy, no driver and no device
"""

import inspect
import json
import os
import re
import tempfile
from pathlib import Path

from tests.gpu import dry_run

NAMES = Path(__file__).with_name("cupy_names.json")
MODULES = ("cupy", "cupy.linalg", "cupy.random", "cupy.cuda", "cupy.cuda.runtime")
MODULES += ("cupy.cuda.cublas", "cupy.cuda.device")


def snapshot():
    """{"version", module: {name: parameters or None}, "ndarray": ..., "ufunc": ...}."""
    with tempfile.TemporaryDirectory() as folder:
        cupy = dry_run.start(folder)  # with libraries in the place of cuBLAS, which may be missing
    found = {"version": cupy.__version__}
    for name in MODULES:
        module = cupy
        for part in name.split(".")[1:]:
            module = getattr(module, part)
        found[name] = {n: _parameters(getattr(module, n)) for n in _public(module)}
    found["ndarray"] = {n: _parameters(getattr(cupy.ndarray, n)) for n in _public(cupy.ndarray)}
    found["ufunc"] = {
        n: _public(getattr(cupy, n))
        for n in _public(cupy)
        if type(getattr(cupy, n)).__name__ == "ufunc"
    }
    return found


def _public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


def _parameters(function):
    """Names of a function's parameters; None where they cannot be told or anything goes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _documented_parameters(function.__doc__ or "")
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        return None
    return [p.name for p in parameters]


def _documented_parameters(text):
    """The same of a compiled method, whose documentation starts with its signature."""
    match = re.match(r"\w+\.\w+\((.*?)\)", text)
    if match is None or "*" in match[1]:
        return None
    names = [re.split(r"[:=]", part)[0].split()[-1] for part in match[1].split(",") if part.strip()]
    return [name for name in names if name != "self"]


if __name__ == "__main__":
    lines = (f"{json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in snapshot().items())
    NAMES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    os._exit(0)  # as in `dry_run`
