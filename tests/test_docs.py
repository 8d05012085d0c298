"""What the documentation names exists: files, functions, links, lessons; its diagrams are drawn."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md"]


def defined(path):
    """Names defined in a Python file: functions, classes, "Class.method", top-level variables."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            names.update(t.id for t in node.targets if isinstance(t, ast.Name))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names.update(f"{node.name}.{n.name}" for n in node.body if hasattr(n, "name"))
    return names


def problems(text, folder):
    """What a page names that does not exist."""
    found = []
    for file, name in re.findall(r"`([\w/]+\.py)(?:::([\w.]+))?`", text):
        if not (ROOT / file).is_file() and "/" in file:
            found.append(file)
        elif name and name not in defined(ROOT / file):
            found.append(f"{file}::{name}")
    found += [f for f in re.findall(r"`((?:vqv2|backends|tests)/[\w/]*/)`", text)
              if not (ROOT / f).is_dir()]  # fmt: skip
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        if not (folder / link).exists():
            found.append(link)
    numbers = {f.name[:2] for f in (ROOT / "examples").glob("[0-9][0-9]_*.py")}
    exercises = {f.name[:3] for f in (ROOT / "examples" / "exercises").glob("e[0-9][0-9]_*")}
    found += [f"lesson {n}" for n in re.findall(r"lesson (\d+)", text, re.I)
              if f"{int(n):02}" not in numbers]  # fmt: skip
    found += [e for e in re.findall(r"\be\d\d\b", text) if e not in exercises]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_everything_named_exists(page):
    assert problems(page.read_text(), page.parent) == []


@pytest.mark.parametrize(
    "wrong",
    ["`vqv2/nothing.py`", "`vqv2/optim.py::nobody`", "`vqv2/nowhere/`", "[x](nowhere.md)", "e77",
     "lesson 55", "`vqv2/optim.py::Adam.nothing`"],
)  # fmt: skip
def test_what_does_not_exist_is_found(wrong):
    assert problems(f"see {wrong} there", ROOT / "docs")


def test_diagrams_are_what_their_script_draws(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "diagrams"))
    draw = importlib.import_module("draw")
    assert {f.stem for f in draw.FOLDER.glob("*.svg")} == {d.__name__ for d in draw.DIAGRAMS}
    for diagram in draw.DIAGRAMS:
        drawn = (draw.FOLDER / f"{diagram.__name__}.svg").read_text(encoding="utf-8")
        assert drawn == diagram().svg(), "run python docs/diagrams/draw.py"


def test_there_are_three_questions_for_every_lesson():
    page = (ROOT / "docs" / "questions.md").read_text()
    for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*.py")):
        part = page.split(f"## Lesson {int(path.name[:2])}: ")[1].split("\n## ")[0]
        assert f"../examples/{path.name}" in part
        assert part.count("<summary>Answer</summary>") == 3
