"""Every lesson runs from start to end with --quick, prints its figures and saves its picture."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
SECONDS = ("01", "02", "03", "08", "13")  # lessons that train nothing, and take no longer
LESSONS = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all: a hierarchy that one lesson trains, the next one finds."""
    return tmp_path_factory.mktemp("lessons")


def test_lessons_are_numbered_without_a_gap():
    assert [int(path.name[:2]) for path in LESSONS] == list(range(1, 15))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson(path, out):
    text = path.read_text()
    number = int(path.name[:2])
    assert text.startswith(f'"""Lesson {number}: ')
    for heading in ("\nYou will learn  ", "\nMinutes ", "\nNeeds ", "\n# %%", "\n# Try: `--"):
        assert heading in text
    printed = run(path, "--out", out)
    assert printed.count("picture: ") == 1
    assert "as expected: " in printed and "NOT SO: " not in printed, printed
    with Image.open(out / f"{path.stem}.png") as picture:
        assert min(picture.size) > 300
        assert picture.info["Description"].endswith(".")  # the caption in the book
        assert len(set(picture.convert("L").resize((64, 64)).tobytes())) > 20


def run(path, *arguments):
    """What a lesson prints with --quick; it must not fail."""
    result = subprocess.run(
        [sys.executable, "-W", "error", str(path), "--quick", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


TRIALS = [
    pytest.param(path, option, marks=() if path.name[:2] in SECONDS else pytest.mark.slow)
    for path in LESSONS
    for option in re.findall(r"`(--[a-z]+ [^`]+)`", path.read_text().split("# Try: ")[-1])
]


@pytest.mark.parametrize(
    ("path", "option"), TRIALS, ids=lambda value: getattr(value, "stem", value)
)
def test_what_is_to_be_tried_explains_itself(path, option, out):
    plain, tried = run(path, "--out", out), run(path, "--out", out, *option.split())
    new = set(without_numbers(tried)) - set(without_numbers(plain))
    assert any(len(line) > 60 for line in new), "it says nothing about the outcome"


def without_numbers(text):
    """Lines of a text without their numbers, which differ from run to run."""
    return re.sub(r"[\d.]+", "", text).split("\n")


def test_lesson_says_what_it_takes():
    result = subprocess.run(
        [sys.executable, str(LESSONS[0]), "--help"], capture_output=True, text=True
    )
    assert "You will learn" in result.stdout and "--quick" in result.stdout
    result = subprocess.run(
        [sys.executable, str(LESSONS[0]), "--fast"], capture_output=True, text=True
    )
    assert result.returncode == 2 and "--fast" in result.stderr


@pytest.mark.parametrize(
    ("number", "option", "words"),
    [
        (1, "--rate nan", "nan is not from 0 to 10"),
        (5, "--start nowhere", "choose from 'far', 'outputs'"),
        (8, "--column 99", "99 is not from 0 to 18"),
    ],
)
def test_a_setting_that_a_lesson_cannot_use_is_refused(number, option, words):
    command = [sys.executable, str(LESSONS[number - 1]), *option.split()]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and words in result.stderr
