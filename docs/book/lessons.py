"""The lessons as sphinx-gallery wants them: run, with outputs and pictures, and as notebooks.

A lesson is a script with Markdown in its comments. What sphinx-gallery runs is a copy with the same
code, whose texts are reStructuredText and whose cells' titles are headings.
"""

import re
import shutil
from pathlib import Path

from PIL import Image

from book.restructured import fields, to_rst

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "lessons"  # the scripts, and what they train and draw
OUT = "lessons"  # of the lessons' option --out
FIRST_CELL = """\
# Run this notebook in the root of the repository: it imports what the lessons share.
%matplotlib inline
import sys

sys.path[:0] = ["examples"]"""


def write_scripts(quick):
    """Write a script for sphinx-gallery for each lesson; their folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("lessons.rst"), FOLDER / "GALLERY_HEADER.rst")
    for old in FOLDER.glob("*.py"):
        old.unlink()
    for path in lessons():
        script = gallery_script(path.read_text(encoding="utf-8"), quick)
        (FOLDER / path.name).write_text(script, encoding="utf-8")
    return FOLDER


def lessons():
    """The scripts of the lessons, in order."""
    return sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))


def gallery_script(source, quick):
    """A lesson's source in sphinx-gallery's form, for a page made with or without --quick."""
    _, header, rest = source.split('"""', 2)
    cells = re.sub(
        r"^# %%(?P<title>[^\n]*)\n(?P<text>(?:^#[^\n]*\n)*)", _cell, rest, flags=re.MULTILINE
    )
    return f'r"""{_header(header, quick)}"""\n{cells}'


def _header(text, quick):
    """The head of a page: title, what it is about, and the command that it was made with."""
    title, about, commands = text.strip().split("\n\n")
    title = title.removesuffix(".")
    rows = [f"- *{name}*: {meaning}" for name, meaning in fields(about.splitlines())]
    command = commands.splitlines()[0]
    command = command if quick else command.replace(" --quick", "")
    made = f"Everything printed and drawn on this page comes from\n\n{command}"
    return f"{title}\n{'=' * len(title)}\n\n" + to_rst("\n".join(rows) + f"\n\n{made}")


def _cell(match):
    """The beginning of a cell: its title as a heading, its comment as text."""
    title = match["title"].strip().removeprefix("[markdown]")
    heading = f"{title}\n{'-' * len(title)}\n\n" if title else ""
    text = heading + to_rst(re.sub(r"^# ?", "", match["text"], flags=re.MULTILINE))
    comment = "\n".join(f"# {line}".rstrip() for line in text.strip().splitlines())
    return f"# %%\n{comment}\n\n" if comment else "# %%\n"


def quick_arguments(gallery_conf, script_vars):
    """The command line of a lesson in a quick build."""
    return ["--quick", "--out", OUT]


def full_arguments(gallery_conf, script_vars):
    """The command line of a lesson."""
    return ["--out", OUT]


def pictures(block, block_vars, gallery_conf):
    """sphinx-gallery's scraper: the pictures that a cell saved, as reStructuredText."""
    written = []
    for picture in sorted((FOLDER / OUT).glob("*.png")):
        place = Path(next(block_vars["image_path_iterator"]))
        with Image.open(picture) as image:
            words = image.info.get("Description", picture.stem)
        shutil.move(picture, place)
        path = place.relative_to(gallery_conf["src_dir"]).as_posix()
        written.append(f".. figure:: /{path}\n   :alt: {words}\n\n   {words}\n")
    return "\n".join(written)
