"""The three-level example runs from images to samples, and goes on where it stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vqv2.hierarchy import Hierarchy

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]


def test_three_levels(tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "three_levels.py")]
    for _ in range(2):
        result = subprocess.run(
            [*command, "--quick", "--out", str(tmp_path)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert result.returncode == 0, result.stderr
    assert "step/s" not in result.stderr  # the second run finds everything done
    for line in ("top + middle + bottom", "middle", "nats per code"):
        assert line in result.stdout
    pictures = [line.split(": ", 1)[1] for line in result.stdout.splitlines() if "picture" in line]
    assert len(pictures) == 3
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 300
    hierarchy = Hierarchy.load(tmp_path / "run-quick")
    config = hierarchy.config.autoencoder
    assert hierarchy.levels == ("top", "middle", "bottom")
    assert [config.image_size // size for size in config.latent_sizes] == [32, 16, 8]
    given = {"top": hierarchy.sample_codes(2, label=0)["top"]}
    assert (hierarchy.sample_codes(2, label=0, given=given)["top"] == given["top"]).all()
