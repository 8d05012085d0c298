"""The disk cache: kept until a file that a kernel is made of changes, and done without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import LONG

PACKAGE = Path(__file__).parents[3] / "backends"
RUN_ELU = """
import numpy as np
from backends import compilation_counts, kernels, use
use("numba")
x = np.ones((2, 3), np.float32)
np.testing.assert_array_equal(kernels.relu(kernels.elu(x)), x)
print(*compilation_counts())
"""


@pytest.fixture
def copied(tmp_path):
    """A folder with a copy of the package that has compiled nothing yet."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "backends", ignore=without)
    return tmp_path


def run(folder, code=RUN_ELU, **environment):
    """(output, errors) of code that uses the copy."""
    kept = {k: v for k, v in os.environ.items() if k not in ("VQV2_BACKEND", "NUMBA_CACHE_DIR")}
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip(), finished.stderr


def test_kernels_are_compiled_again_when_a_part_of_them_was_edited(copied):
    assert run(copied)[0] == "2 0"
    assert run(copied)[0] == "0 2"
    for edited, counts in (
        ("numba/engine/exponential.py", "2 0"),
        ("reference/elementwise.py", "2 0"),  # whose constants loops may read
        ("numba/engine/winograd.py", "0 2"),  # neither has anything of it
        ("kernels.py", "0 2"),
    ):
        with (copied / "backends" / edited).open("a") as file:
            file.write("# edited\n")
        assert run(copied)[0] == counts, edited


def test_where_no_folder_can_be_written_to_kernels_run_and_one_sentence_says_so(copied):
    for folder in ("numba", "numba/engine"):
        (copied / "backends" / folder / "__pycache__").write_text("a file, so no folder")
    nowhere = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}
    output, errors = run(copied, PYTHONDONTWRITEBYTECODE="1", **nowhere)
    assert output.split()[1] == "0"
    assert errors.count("no folder for compiled kernels can be written to") == 1
    assert "set the variable NUMBA_CACHE_DIR" in errors and "Traceback" not in errors
    cache = {"NUMBA_CACHE_DIR": str(copied / "cache")}
    assert run(copied, **nowhere, **cache) == ("2 0", "")
    assert run(copied, **nowhere, **cache) == ("0 2", "")
