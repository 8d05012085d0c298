"""Every lesson runs from start to end with --quick, prints its figures and saves its picture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all: a hierarchy that one lesson trains, the next one finds."""
    return tmp_path_factory.mktemp("lessons")


def test_lessons_are_numbered_without_a_gap():
    assert [int(path.name[:2]) for path in LESSONS] == list(range(1, 14))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson(path, out):
    text = path.read_text()
    number = int(path.name[:2])
    assert text.startswith(f'"""Lesson {number}: ')
    for heading in ("\nYou will learn  ", "\nMinutes ", "\nNeeds ", "\n# %%", "\nassert "):
        assert heading in text
    result = subprocess.run(
        [sys.executable, "-W", "error", str(path), "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("picture: ") == 1
    with Image.open(out / f"{path.stem}.png") as picture:
        assert min(picture.size) > 300
        assert len(set(picture.convert("L").resize((64, 64)).tobytes())) > 20


def test_lesson_says_what_it_takes():
    result = subprocess.run(
        [sys.executable, str(LESSONS[0]), "--help"], capture_output=True, text=True
    )
    assert "You will learn" in result.stdout and "--quick" in result.stdout
    result = subprocess.run(
        [sys.executable, str(LESSONS[0]), "--fast"], capture_output=True, text=True
    )
    assert result.returncode == 2 and "--fast" in result.stderr
