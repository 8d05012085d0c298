"""A page for every exercise, made from the catalogue, the exercise's own text and its hint."""

import ast
import textwrap
from pathlib import Path

from book.lessons import lessons
from book.restructured import to_rst
from examples.exercises.catalogue import EXERCISES

INDEX = """\
Exercises
=========

You fill in ``exercise.py``; a check says what is right, what is wrong, and why. These pages have
the texts. :doc:`/course` says how to check an answer.

.. list-table::
   :header-rows: 1

   * - exercise
     - after lesson
     - minutes
     - difficulty
"""
PAGE = """\
{title}
{line}

{stars}, about {minutes} minutes

{text}

To fill in
----------

In ``examples/exercises/{topic}/exercise.py``:

.. code-block:: python

{stubs}

.. dropdown:: Hint

{hint}

To check
--------

.. code-block:: shell

   python -m examples.exercises {name}
"""


def setup(app):
    """Write the pages before Sphinx looks for them."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


def write_pages(app):
    """Write exercises/index.rst and a page for each exercise; what has not changed stays."""
    folder = Path(app.srcdir, "exercises")
    folder.mkdir(exist_ok=True)
    pages = {"index": index(), **{exercise.name: page(exercise) for exercise in EXERCISES}}
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def index():
    """The table of all exercises."""
    rows = [
        f"   * - :doc:`{exercise.name}: {exercise.title} <{exercise.name}>`\n"
        f"     - :doc:`{exercise.lesson} </lessons/{lesson_before(exercise)}>`\n"
        f"     - {exercise.minutes}\n"
        f"     - {'★' * exercise.difficulty}\n"
        for exercise in EXERCISES
    ]
    names = "".join(f"   {exercise.name}\n" for exercise in EXERCISES)
    return f"{INDEX}{''.join(rows)}\n.. toctree::\n   :hidden:\n\n{names}"


def page(exercise):
    """What an exercise says, its stubs, and its hint folded away."""
    source = (exercise.folder / "exercise.py").read_text(encoding="utf-8")
    _, text = ast.get_docstring(ast.parse(source)).split("\n", 1)
    stubs = source.split('"""', 2)[2].replace("  # noqa: F401  (you will need it)", "")
    hint = (exercise.folder / "hint.md").read_text(encoding="utf-8")
    title = f"{exercise.name}: {exercise.title}"
    return PAGE.format(
        title=title,
        line="=" * len(title),
        minutes=exercise.minutes,
        stars="★" * exercise.difficulty,
        text=to_rst(text.strip()),
        topic=exercise.topic,
        stubs=textwrap.indent(stubs.strip(), "   "),
        hint=textwrap.indent(to_rst(hint), "   "),
        name=exercise.name,
    )


def lesson_before(exercise):
    """The name of the page of the lesson before an exercise."""
    return next(path.stem for path in lessons() if int(path.name[:2]) == exercise.lesson)
