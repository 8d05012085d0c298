"""README's map of the code is true: every file stands on a floor, and imports run downwards."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for package in ("backends", "vqv2")
    for path in sorted((ROOT / package).rglob("*.py"))
]
ROOF = {"vqv2/__init__.py", "vqv2/__main__.py"}  # what a user imports, and `python -m vqv2`


def floors():
    """{file or folder: floor} of README's map."""
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {path: int(floor) for floor, cell in rows for path in re.findall(r"`([^`]+)`", cell)}


def floor_of(path):
    """The floor of a source file; a folder in the map stands for all that is in it."""
    names = {path, *(f"{folder.as_posix()}/" for folder in Path(path).parents)}
    matches = [floor for name, floor in floors().items() if name in names]
    assert len(matches) == 1, f"{path} stands {len(matches)} times in README's map of the code"
    return matches[0]


def imported_files(path):
    """The project's own files that `path` imports, anywhere in it."""
    files = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            files |= {_file(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from vqv2 import nn` imports the package vqv2.nn, no name of vqv2/__init__.py.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            files |= {_file(name) or _file(node.module) for name in names}
    return files - {None}


def _file(module):
    """The source file of a dotted module name; None for what is no module of the project."""
    place = module.replace(".", "/")
    candidates = (f"{place}.py", f"{place}/__init__.py")
    return next((path for path in candidates if (ROOT / path).exists()), None)


@pytest.mark.parametrize("path", [path for path in SOURCES if path not in ROOF])
def test_imports_run_downwards(path):
    for imported in imported_files(path):
        assert imported not in ROOF, f"{path} imports {imported}"
        assert floor_of(imported) <= floor_of(path), f"{path} imports {imported} from above"


def test_no_imports_run_in_circles():
    finished = set()

    def visit(path, trail):
        assert path not in trail, " imports ".join([*trail[trail.index(path) :], path])
        if path not in finished:
            for imported in imported_files(path):
                visit(imported, [*trail, path])
            finished.add(path)

    for path in SOURCES:
        visit(path, [])


def test_backends_knows_nothing_of_vqv2():
    for path in SOURCES:
        if path.startswith("backends/"):
            assert not [name for name in imported_files(path) if name.startswith("vqv2")], path


def test_only_the_commands_look_into_the_lab():
    for path in SOURCES:
        if not path.startswith(("vqv2/lab/", "vqv2/cli/")):
            assert not [name for name in imported_files(path) if name.startswith("vqv2/lab/")], path


def test_the_map_names_only_what_is_there():
    assert set(floors().values()) == set(range(1, 9))
    assert [name for name in floors() if not (ROOT / name).exists()] == []
