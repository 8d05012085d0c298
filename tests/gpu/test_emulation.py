"""The real package cupy, every kernel run on the processor: the numbers of the numba backend."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import backends
from tests.gpu import cpu_kernels, dry_run, emulation

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_training_and_sampling_give_the_numbers_of_the_processor():
    """The first time it compiles some hundred kernels, which takes minutes; they are kept."""
    if reason := dry_run.why_impossible() or cpu_kernels.why_missing():
        pytest.skip(f"no emulation of cupy: {reason}")
    folder = Path(tempfile.gettempdir()) / f"vqv2-emulation-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.gpu.emulation", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert found["kernels"] > 50
    assert found["graphs"] == 4 * 4 - 1 + 8 * 8 - 1  # positions but for the first of each map
    with backends.use("numba"):
        expected = emulation.run_everything()
    assert found["results"].keys() == expected.keys()
    same = {"codes", "drawn top", "drawn bottom"}
    for name in same:
        assert found["results"][name] == expected[name], name
    for name in expected.keys() - same:
        tolerance = 5e-3 if "float16" in name else 1e-4
        np.testing.assert_allclose(
            found["results"][name], expected[name], rtol=tolerance, atol=1e-4, err_msg=name
        )
