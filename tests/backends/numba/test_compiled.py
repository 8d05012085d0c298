"""Compilation: at the first call, once per machine, not needed for debugging, cores shared."""

import os
import subprocess
import sys

import numpy as np
import pytest

from backends import compilation_counts
from tests.cases import CASES, Draw
from tests.processes import LONG

RUN_GATE = """
import os
import numpy as np
from backends import compilation_counts, compilation_seconds, kernels
assert (compilation_counts(), compilation_seconds()) == ((0, 0), 0)
x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(3, 8)
y = kernels.gate(x)
kernels.gate(x[:, ::2])
np.testing.assert_allclose(y, kernels.gate.reference(x), rtol=1e-6)
print(*compilation_counts(), compilation_seconds() > 0, os.environ["OMP_WAIT_POLICY"])
"""


def run_gate(cache, **environment):
    """What RUN_GATE prints in a process of its own, with its own disk cache."""
    kept = {k: v for k, v in os.environ.items() if k not in ("VQV2_BACKEND", "OMP_WAIT_POLICY")}
    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(cache)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_GATE],
        env={**kept, **variables, **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_second_process_compiles_nothing(tmp_path):
    assert run_gate(tmp_path)[:3] == ["1", "0", "True"]
    assert run_gate(tmp_path)[:3] == ["0", "1", "False"]


def test_without_compilation_kernels_run_as_plain_python(tmp_path):
    assert run_gate(tmp_path, NUMBA_DISABLE_JIT="1")[:3] == ["0", "0", "False"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("choice", "policy"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"},) * 2]
)
def test_idle_threads_sleep_unless_the_user_says_otherwise(choice, policy, tmp_path):
    *_, chosen = run_gate(tmp_path, NUMBA_DISABLE_JIT="1", **choice)
    assert chosen == choice.get("OMP_WAIT_POLICY", policy)


def run_all_cases(layout):
    for kernel, cases in CASES.items():
        for build in cases.values():
            kernel.versions["numba"](*build(Draw(np.float32, layout)))


def test_another_memory_layout_compiles_nothing_new():
    run_all_cases("contiguous")
    before = compilation_counts()
    run_all_cases("strided")
    run_all_cases("transposed")
    assert compilation_counts() == before


COUNT_CACHED = """
import numpy as np
import backends
from backends import kernels
before = backends.cached_kernels()
kernels.elu(np.ones((2, 3), np.float32))
after = backends.cached_kernels()
print(sum(before.values()), sum(after.values()), *after)
print(backends.compilation_summary())
"""


def test_the_disk_cache_is_found_and_counted(tmp_path):
    variables = {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path)}
    output = subprocess.run(
        [sys.executable, "-c", COUNT_CACHED],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    before, after, *folders = output[0].split()
    assert (before, after, len(folders)) == ("0", "1", 2)  # of families, and of what they share
    assert all(folder.startswith(str(tmp_path)) for folder in folders)
    assert output[1].startswith("1 compiled in ")
    assert output[1].endswith(", 0 loaded from disk")
