"""Linking: a kernel becomes machine code once, with all of its pieces."""

import os
import subprocess
import sys

from tests.processes import LONG

COUNT_MODULES = """
import numpy as np
from numba.core.codegen import JitEngine
from backends import kernels
from backends.numba.engine import compiled

modules, add = [], JitEngine.add_module
JitEngine.add_module = lambda engine, module: modules.append(module.name) or add(engine, module)
if PIECE_BY_PIECE:
    compiled.compile_within = lambda dispatcher, surrounding: None
x = np.linspace(-9, 9, 4096, dtype=np.float32).reshape(64, 64)
numbers = kernels.dropout.versions["numba"](x, 0.3, 5)
print(modules.count("_dropout_loop"), len(modules), numbers.tobytes().hex())
"""


def run(code, cache):
    """The words that code prints in a process with its own, empty disk cache."""
    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(cache)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_a_kernel_is_machine_code_once_and_computes_the_same(tmp_path):
    def dropout(piece_by_piece):
        code = COUNT_MODULES.replace("PIECE_BY_PIECE", str(piece_by_piece))
        return run(code, tmp_path / str(piece_by_piece))

    (once, few, ours), (_, many, theirs) = dropout(False), dropout(True)
    assert once == "1"
    assert int(few) < int(many)  # without the loop's body and its wrappers
    assert ours == theirs
