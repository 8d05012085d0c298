"""What `run.sh` does on a device runs whole without one, so that it works when there is one."""

import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import backends
from tests.device import measure, summary
from tests.gpu import cpu_kernels
from vqv2.lab.plan import measured
from vqv2.lab.plan.device import device

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
HAS_TORCH = importlib.util.find_spec("torch") is not None  # then its GPU is missing
SECTIONS = [s for s in measure.SECTIONS if not (HAS_TORCH and s.startswith("peer"))]
MOST_SECONDS = 7 * 60  # of a verb of run.sh
SIDE_BY_SIDE = ("models", "tests", "memcheck", "racecheck", "learn")


def on_the_stand_in(section):
    """Both stages in all precisions, and sampling, take it a minute."""
    slow = pytest.mark.slow if section in ("everything", "without_pool") else ()
    return pytest.param(section, "stand-in", marks=slow)


@pytest.mark.parametrize(
    ("section", "on"), [*((s, "shapes") for s in SECTIONS), *map(on_the_stand_in, SECTIONS)]
)
def test_sections_run_whole(section, on, capsys):
    if on == "stand-in" and (reason := cpu_kernels.why_missing()):
        pytest.skip(f"CUDA kernels cannot be run on the processor: {reason}")
    status = measure.main([section, "--scale", "tiny", "--on", on, "--seconds", "600"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert not [line for line in lines if "error" in line]
    assert status == 0 and lines[-1]["name"] == "end"
    assert len(lines) > 1


def sanitizer(folder):
    """A folder for PATH with a compute-sanitizer that runs its command and finds nothing."""
    program = folder / "compute-sanitizer"
    program.write_text('#!/bin/bash\nwhile [ "$1" != "$PYTHON" ]; do shift; done\nexec "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("verb", ["correct", "speed"])
def test_the_script_runs_whole(verb, tmp_path):
    if reason := cpu_kernels.why_missing():
        pytest.skip(f"CUDA kernels cannot be run on the processor: {reason}")
    out = tmp_path / "out"
    finished = subprocess.run(
        ["bash", "tests/device/run.sh", verb],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": sanitizer(tmp_path),
            "PYTHON": sys.executable,
            "ON": "shapes",
            "SCALE": "tiny",
            "OUT": str(out),
            "PATIENCE": "100",
            "VQV2_BACKEND": "",
        },
        capture_output=True,
        text=True,
    )
    printed = finished.stdout
    assert finished.returncode == (1 if HAS_TORCH and verb == "speed" else 0), printed
    parts = re.findall(r"^(\w+): status (\d+) after \d+ s \(limit (\d+) s\)", printed, re.M)
    expected = {
        "correct": {"versions", "everything", "repeat", *SIDE_BY_SIDE},
        "speed": {"ceilings", "kernels", "train", "peer", "peer_compiled", "sample"},
    }
    assert {name for name, *_ in parts} == expected[verb]
    limits = [(name, int(limit)) for name, _, limit in parts]
    longest = max((limit for name, limit in limits if name in SIDE_BY_SIDE), default=0)
    alone = sum(limit for name, limit in limits if name not in SIDE_BY_SIDE)
    assert longest + alone <= MOST_SECONDS
    files = {path.name for path in out.rglob("*")}
    suites = {"models.xml", "tests.xml"} if verb == "correct" else set()
    assert files == {f"{verb}.jsonl", f"{verb}.log", f"{verb}.txt"} | suites
    assert (out / f"{verb}.txt").read_text() in printed


def test_the_script_says_what_fails_and_goes_on(tmp_path):
    """Here without any device, and with parts that take too long."""
    if backends.why_unavailable("cupy") is None:
        pytest.skip("there is a device here")
    environment = {**os.environ, "PYTHON": "false", "OUT": str(tmp_path)}
    finished = subprocess.run(
        ["bash", "tests/device/run.sh", "speed"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    assert finished.stdout.count(": status 1 after ") == 6 and "FAILED" in finished.stdout
    unknown = subprocess.run(["bash", "tests/device/run.sh", "fast"], cwd=ROOT, capture_output=True)
    assert unknown.returncode == 2


def test_what_fails_is_a_line_and_the_rest_goes_on():
    lines = []
    report = measure.Report("drawing", 60, lines.append)
    report.tried("bad", lambda: 1 / 0, size=3)
    report.tried("good", lambda: {"ms": 2.5})
    report.seconds = 0
    report.tried("late", lambda: {"ms": 2.5})
    assert report.end() == 1
    bad, good, late, end = map(json.loads, lines)
    assert bad["error"] == "ZeroDivisionError: division by zero" and bad["size"] == 3
    assert good == {"section": "drawing", "name": "good", "ms": 2.5}
    assert late["left_out"] == "the 0 seconds are over"
    assert end["failures"] == 1


def test_the_summary_compares_sides_and_figures():
    steps = {"name": "prior", "precision": "tf32"}
    learned = {"section": "learn", "name": "learn", "prior-top": {"bits_per_code": 2.0}}
    expected = {"on": "processor", "precision": "float32", "autoencoder": {"reconstruction": 20.0}}
    found = {"on": "device", "precision": "bfloat16", "autoencoder": {"reconstruction": 18.0}}
    lines = [
        {"section": "train", **steps, "ms": 20.0},
        {"section": "peer", **steps, "ms": 30.0},
        {**learned, **expected},
        {**learned, **found},
    ]
    text = summary.summary(lines)
    assert re.search(r"prior +tf32 +20 +30 +1.5", text)
    assert re.search(rf"autoencoder +reconstruction +bfloat16 +18 +20 +{summary.DISAGREES}", text)
    assert re.search(r"prior-top +bits_per_code +bfloat16 +2 +2 +yes", text)
    assert summary.compared_steps(lines[:1]) == "" == summary.compared_learning(lines[3:])


def test_plan_reads_what_is_measured(tmp_path, capsys):
    """On the device of shapes, whose seconds mean nothing, but which has every line."""
    for section in ("ceilings", "kernels"):
        measure.main([section, "--scale", "tiny", "--on", "shapes", "--seconds", "600"])
    path = tmp_path / "speed.jsonl"
    path.write_text(capsys.readouterr().out)
    found = measured.shares(path, device("h100"))
    for _, family, _ in measured.LINES:
        assert found[family].source == "measured: speed.jsonl", family
