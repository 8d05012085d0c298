"""Pages that show the files which the book names and the API reference does not."""

import ast
import re
from html import escape

from book.lessons import ROOT

FILE = re.compile(r"`((?:[\w-]+/)+[\w.-]+\.(?:py|cu|cuh|sh|toml))(?:::[\w.]+)?`")
LANGUAGES = {".cu": "cuda", ".cuh": "cuda", ".py": "python", ".sh": "shell", ".toml": "toml"}


def setup(app):
    """Add the pages to those that Sphinx writes at the end."""
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True}


def named_files():
    """{path: Path} of the files that docs/, the lessons and the course's README name as code."""
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.*")]
    found = {
        name
        for path in texts
        if path.suffix in (".md", ".py")
        for name in FILE.findall(path.read_text(encoding="utf-8"))
    }
    return {name: ROOT / name for name in sorted(found) if (ROOT / name).is_file()}


def page_of(name):
    """The name of the page that shows a file."""
    return f"sources/{name}"


def pages(app):
    """(page, context, template) for every file."""
    for name, path in named_files().items():
        body = f"<h1>{escape(name)}</h1>\n{_highlighted(app, path)}"
        yield page_of(name), {"title": name, "body": body}, "page.html"


def _highlighted(app, path):
    """A file as HTML, with an anchor at each function and class of a Python file."""
    code = path.read_text(encoding="utf-8")
    html = app.builder.highlighter.highlight_block(code, LANGUAGES[path.suffix])
    if path.suffix != ".py":
        return html
    lines = html.split("\n")
    start = next(number for number, line in enumerate(lines) if "<pre>" in line)
    for name, number in definitions(code):
        place = start + number - 1
        lines[place] = f'<span id="{name}"></span>{lines[place]}'
    return "\n".join(lines)


def definitions(code):
    """(name, line) of the functions, classes, methods and variables of a Python file."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign):
            yield from ((t.id, node.lineno) for t in node.targets if isinstance(t, ast.Name))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        if isinstance(node, ast.ClassDef):
            named = (part for part in node.body if hasattr(part, "name"))
            yield from ((f"{node.name}.{part.name}", part.lineno) for part in named)
