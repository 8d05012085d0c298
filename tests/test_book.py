"""What `make book` is made of: everything has its place in the navigation, lessons keep their code.

The build itself, with its warnings as errors, is `make book-quick`.
"""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COLUMNS = ".. rst-class:: columns\n\n"
LESSONS = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


@pytest.fixture
def book(monkeypatch):
    """The modules of the book can be imported."""
    monkeypatch.syspath_prepend(str(DOCS))


@pytest.mark.parametrize(("index", "pages"), [("index.md", "*.md"), ("api/index.rst", "*.rst")])
def test_every_page_stands_in_the_navigation(index, pages):
    path = DOCS / index
    entries = re.findall(r"^ *([\w/-]+)$", path.read_text(), re.MULTILINE)
    there = {page.stem for page in path.parent.glob(pages)} - {"index"}
    folders = {"lessons/index", "exercises/index", "api/index"} if index == "index.md" else set()
    assert set(entries) == there | folders and len(entries) == len(set(entries))


def test_every_kernel_family_stands_in_the_reference():
    page = (DOCS / "api" / "reference.rst").read_text()
    files = (ROOT / "backends" / "reference").glob("[a-z]*.py")
    assert set(re.findall(r"backends\.reference\.(\w+)", page)) == {path.stem for path in files}


def test_every_module_of_the_reference_is_there():
    pages = "".join(page.read_text() for page in (DOCS / "api").glob("*.rst"))
    names = re.findall(r"automodule:: ([\w.]+)", pages)
    assert names and all(map(importlib.util.find_spec, names))


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_keeps_its_code(path, quick, book):
    from book.lessons import gallery_script

    source = path.read_text()
    script = gallery_script(source, quick)
    assert code(script) == code(source)
    assert script.count("\n# %%") == source.count("\n# %%")
    assert (f"python examples/{path.name} --quick" in script) == quick
    comments = "\n".join(re.findall(r"^# .*", script, re.MULTILINE))
    assert "$" not in comments and "](" not in comments  # formulas and links were understood


def code(source):
    """What a script does, without its docstring and comments."""
    return [ast.dump(node) for node in ast.parse(source).body[1:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`x` is *new*.", "``x`` is *new*."),
        ("at $n_i$s", r"at :math:`n_i`\ s"),
        ("$$a =\nb$$", ".. math::\n\n   a =\n   b"),
        ("a * b, *many, x_", r"a \* b, \*many, x\_"),
        ("[here](https://a.b/c)", "`here <https://a.b/c>`_"),
        ("[pages](../docs/data.md)", ":doc:`pages </data>`"),
        ("![A map](../docs/a.svg)", ".. image:: /a.svg\n   :alt: A map"),
        ("Say:\n    x = 1\nthen", "Say:\n\n.. code-block:: text\n\n   x = 1\n\nthen"),
        ("levels  their names,\n        in order", f"{COLUMNS}levels\n   their names, in order"),
        ("seed   which\nlonger words", f"{COLUMNS}seed\n   which\nlonger\n   words"),
        ("a = 1  b = 2", "a = 1  b = 2"),
        ("ways:\n  * one\n    more\n  * two", "ways:\n\n- one\n  more\n- two"),
    ],
)
def test_text_becomes_what_sphinx_reads(text, expected, book):
    from book.restructured import to_rst

    assert to_rst(text) == f"{expected}\n"


@pytest.mark.parametrize(
    ("folder", "link", "expected"),
    [
        ("docs", "glossary.md", "/glossary.md"),
        ("examples", "../docs/data.md", "/data.md"),
        ("docs", "../examples/02_a_new_operation.py", "/lessons/02_a_new_operation.rst"),
        ("docs", "../examples/README.md", "/course.md"),
        ("docs", "../README.md", "/index.md"),
        ("examples", "three_levels.py", "/../examples/three_levels.py"),
        ("docs", "nowhere.md", "nowhere.md"),
    ],
)
def test_links_of_the_repository_lead_to_pages(folder, link, expected, book):
    from book.links import target

    assert target(ROOT / folder, link) == expected
