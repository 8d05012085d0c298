"""The standing benchmark, from images to figures, with models that learn nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.small import write_fashion_mnist

pytestmark = pytest.mark.thorough

SCRIPT = Path(__file__).parents[2] / "examples" / "fashion_mnist_benchmark.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_whole_benchmark_and_going_on(tmp_path):
    data, out = write_fashion_mnist(tmp_path), tmp_path / "run"
    arguments = ("--quick", "--data", data, "--samples", 4, "--out", out)
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    for words in ("nats/code", "PSNR", "Frechet", "ankle-boot", "of the processor", "diversity"):
        assert words in result.stdout
    for picture in ("samples.png", "reconstructions.png", "rejection/class-9.png"):
        with Image.open(out / picture) as image:
            assert min(image.size) > 100
    figures = json.loads((out / "benchmark.json").read_text())
    assert set(figures["rate"]["held_out"]) == {"top", "bottom"}
    top = figures["rate"]["held_out"]["top"]
    assert top["bits/dim"] * 32 * 32 == pytest.approx(top["bits/image"])
    assert set(figures["fidelity"]) == {"samples", "reconstructions"}
    score = figures["classification accuracy score"]
    value, low, high = score["all"]
    assert low <= value <= high
    assert value == pytest.approx(sum(score[name] for name in score if name != "all") / 10)

    kept = {p: p.read_bytes() for p in (out / "samples.npz", *out.glob("*/checkpoint.*"))}
    assert len(kept) == 6
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert {path: path.read_bytes() for path in kept} == kept
    assert json.loads((out / "benchmark.json").read_text())["rate"] == figures["rate"]


def test_wrong_usage_is_one_sentence(tmp_path):
    for wrong, word in (
        (("--data", "fashion-mnist:nowhere"), "no folder nowhere"),
        (("--data", "emoji:16"), "16"),
    ):
        result = run("--quick", *wrong, "--out", tmp_path / "run")
        assert result.returncode == 1
        assert word in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
