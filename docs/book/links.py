"""Links that work in the repository lead to the book's pages.

A page may link to another page, to a lesson's script, or to any file of the repository: here that
is the lesson's page, or the file itself.
"""

import os.path
import re
from pathlib import Path

from book.lessons import ROOT, lessons

PAGES = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "examples/README.md": "course",
}


def setup(app):
    """Rewrite links before a page, or what it includes, is read."""
    app.connect("source-read", lambda app, name, source: rewrite(f"{name}.md", source))
    app.connect("include-read", lambda app, path, parent, source: rewrite(path, source))
    return {"parallel_read_safe": True}


def rewrite(path, source):
    """Let the links of a Markdown file, and its pictures, lead to pages of the book.

    `path` is relative to docs/; `source` is a list of one text, which is changed.
    """
    folder = (ROOT / "docs" / path).parent
    source[0] = re.sub(
        r"\]\((?!\w+:|#)([^)#\s]+)", lambda link: f"]({target(folder, link[1])}", source[0]
    )


def target(folder, link):
    """Where a relative `link` of a file in `folder` leads in the book."""
    path = Path(os.path.normpath(folder / link))
    if not path.is_relative_to(ROOT) or not path.exists():
        return link
    name = path.relative_to(ROOT).as_posix()
    if name in PAGES:
        return f"/{PAGES[name]}.md"
    if path in lessons():
        return f"/lessons/{path.stem}.rst"
    return f"/{name.removeprefix('docs/')}" if name.startswith("docs/") else f"/../{name}"
