"""Both stages and sampling go through the real package cupy, which has no driver and no device."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.gpu import dry_run
from tests.gpu.cpu_kernels import kernel_names
from tests.gpu.sources import all_sources
from tests.gpu.test_models import STAGE_1_WAITS, STAGE_2_WAITS
from tests.small import CONFIG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def result(request):
    """What `python -m tests.gpu.dry_run` prints; compiled kernels are kept for the next time."""
    if reason := dry_run.why_impossible():
        pytest.skip(f"no dry run of cupy: {reason}")
    folder = Path(tempfile.gettempdir()) / f"vqv2-dry-run-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.gpu.dry_run", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


def test_every_kernel_of_the_project_is_launched(result):
    ours = {name for source in all_sources().values() for name in kernel_names(source.code())}
    by_themselves = {"sigmoid", "dropout"}  # which neither stage uses: gates have their own
    assert ours - by_themselves <= set(result["launches"])


def test_no_memory_is_left(result):
    assert result["peak"] > 0
    assert result["used"] == 0


def test_training_steps_wait_as_seldom_as_promised(result):
    for stage in ("stage 1", *(f"stage 2 {level}" for level in CONFIG.levels)):
        calls = result["steps"][stage]
        waits = STAGE_1_WAITS if stage == "stage 1" else STAGE_2_WAITS
        assert calls.get("streamSynchronize", 0) <= waits, stage
        assert calls["launchKernel"] > 50
        assert "deviceSynchronize" not in calls


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("level", CONFIG.levels)
def test_a_position_is_sampled_without_waiting_in_few_launches(level, storage, result):
    calls, prior = result["steps"][f"position {level} 4 {storage}"], CONFIG.prior(level)
    assert not {"streamSynchronize", "memcpyAsync", "deviceSynchronize"} & set(calls)
    gated = prior.layers + prior.output_stack_layers
    # Six more: first convolution, logits, a copy of them, codes in their place, their vectors, on.
    assert calls["launchKernel"] == 2 * gated + 5 * prior.attention_layers + 6


def test_a_map_is_one_recording_and_a_launch_of_it_for_every_position(result):
    for level, size in zip(CONFIG.levels, (4, 8), strict=True):
        for many in ("4 float32", "4 bfloat16", "65 float32"):
            calls = result["steps"][f"map {level} {many}"]
            assert calls["streamBeginCapture"] == calls["graphInstantiate"] == 1
            assert calls["graphLaunch"] == size**2 - 1


def test_a_recording_holds_launches_of_kernels_and_nothing_else(result):
    """No memory, no copy, no waiting: CuPy asks for the device and whether it captures, at most."""
    assert result["captured"]["launchKernel"] > 50
    questions = {"launchKernel", "streamEndCapture", "streamIsCapturing", "getDevice", "setDevice"}
    assert set(result["captured"]) <= questions | {"ctxGetCurrent", "_ensure_context"}


def test_a_bias_gradient_occupies_a_device(result):
    """By itself CuPy takes two blocks of threads for it, on a device that runs hundreds."""
    assert result["blocks of a bias gradient"] >= 500


def test_everything_that_is_measured_runs_and_is_timed_by_the_device(result):
    found = result["benchmarks"]
    assert "train conditioned prior" in found and "kernels causal attention backward" in found
    for name, (seconds, peak) in ((n, f) for n, f in found.items() if n != "too much"):
        if name.startswith("sample"):  # three stretches, each of which stands for more
            assert seconds["seconds"] > 0.002
        else:
            assert seconds["seconds"] == pytest.approx(0.002)  # what every event says here
        assert peak["bytes"] > 0, name


def test_the_pool_keeps_to_its_limit(result):
    assert "limit" in result["benchmarks"]["too much"]
