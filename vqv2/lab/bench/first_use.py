"""What the first use costs: importing, and compiling kernels that later processes find on disk."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vqv2.errors import InputError

IMPORTS = ("vqv2", "vqv2.cli.main", "numpy")
_COUNTS = re.compile(r"(\d+) compiled in \d+ s, (\d+) loaded")


def import_seconds(module, repetitions):
    """Seconds that `import module` takes, each time in a fresh process, without Python's start."""
    code = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start)"
    )
    return [float(_python("-c", code)) for _ in range(repetitions)]


def demo_compilations(folder=None):
    """[(seconds, compiled, loaded), ...] of `vqv2 demo --quick` twice, from an empty cache.

    Raises `InputError` when the demo does not say them.
    """
    found = []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for number in (1, 2):
            begun = time.perf_counter()
            out = str(Path(work) / f"demo{number}")
            cache = {"NUMBA_CACHE_DIR": str(Path(work) / "cache")}
            text = _python("-m", "vqv2", "demo", "--quick", "--out", out, environment=cache)
            counts = _COUNTS.findall(text)
            if not counts:
                raise InputError("the demo did not say how many kernels it compiled")
            found.append((time.perf_counter() - begun, *map(int, counts[-1])))
    return found


def _python(*arguments, environment=None):
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    result = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise InputError(f"{' '.join(arguments)} failed: {result.stderr.strip()[-500:]}")
    return result.stdout
