"""The full-scale runs, from images to samples, at a size that a test can afford."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqv2.pictures import GAP, MARGIN, shown_scale

pytestmark = pytest.mark.thorough

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("script", "size", "levels", "rows"),
    [
        ("train_imagenet256.py", 32, ("top", "bottom"), 8),
        ("train_ffhq1024.py", 128, ("top", "middle", "bottom"), 1),
    ],
)
def test_whole_run(script, size, levels, rows, tmp_path):
    data, out = tmp_path / "images.npz", tmp_path / "run"
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 11 + 1  # more classes than are shown, and no image of class 0
    np.savez(data, images=rng.integers(0, 256, (30, size, size, 3), dtype=np.uint8),
             labels=labels)  # fmt: skip
    small = ("--data", data, "--out", out, "--small", "--samples", 2)
    first = run(script, *small, "--stage", "autoencoder", "--set", "autoencoder.steps=2")
    assert first.returncode == 0, first.stderr
    assert not (out / "codes").exists()
    rest = run(script, *small, "--set", "autoencoder.steps=2")  # goes on where it stopped
    assert rest.returncode == 0, rest.stderr
    for level in levels:
        assert (out / f"prior-{level}" / "checkpoint.safetensors").exists()
    with Image.open(out / "samples.png") as picture:
        assert picture.width > 2 * size
        side = shown_scale(size) * size
        assert picture.height == rows * (side + GAP) - GAP + 2 * MARGIN


def test_wrong_usage_is_one_sentence(tmp_path):
    small = ("--data", "emoji:32", "--out", tmp_path / "run", "--small")
    for wrong, word in (
        (("--set", "top.hiden_units=3"), "did you mean 'hidden_units'?"),
        (("--set", "hidden_units=3"), "PART.FIELD=VALUE"),
        (("--stage", "prior"), "choose one of"),
        (("--samples", 0), "--samples 0 must be at least 1"),
        (("--samples", 100_000), "too large for what shows pictures"),
        (("--seed", -1), "--seed -1 must be at least 0"),
    ):
        result = run("train_imagenet256.py", *small, *wrong)
        assert result.returncode == 1
        assert word in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
