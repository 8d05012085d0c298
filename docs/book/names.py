"""Names become links.

`vqv2/optim.py::Adam` leads to the API reference, or else to the source; `Adam` to the reference
where only one is called so; `docs/data.md`, lesson 5 and e07 lead to their pages.
"""

import functools
import importlib
import re

from docutils import nodes
from sphinx.util.nodes import make_refnode

from book import sources
from book.lessons import lessons

NAMED = re.compile(r"\b(?:[Ll]essons? (?P<lesson>\d+)|(?P<exercise>e[01]\d))\b")


def setup(app):
    """Find names when a page is written."""
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def link(app, doctree, page):
    """Turn names in a page into links."""
    names = all_names(app)
    for node in list(doctree.findall(nodes.literal)):
        if place := names.of_code(node.astext()):
            names.refer(page, node, *place)
    for node in list(doctree.findall(nodes.Text)):
        names.split(page, node)


@functools.cache
def all_names(app):
    """The names of a build, found once when all pages have been read."""
    return Names(app)


class Names:
    """What the code and the pages are called, and where that stands in the book."""

    def __init__(self, app):
        self.app = app
        self.files = sources.named_files()
        self.places, self.short = {}, {}  # {module.name: (page, anchor)}; {last part: full names}
        for name, entry in app.env.domains.python_domain.objects.items():
            self.places[_real_name(name)] = (entry.docname, entry.node_id)
            self.places.setdefault(name, (entry.docname, entry.node_id))
        for name in self.places:
            self.short.setdefault(name.rsplit(".", 1)[-1], set()).add(self.places[name])

    def of_code(self, text):
        """(page, anchor) of a name in code; None for what has no place of its own."""
        path, _, name = text.partition("::")
        if path.endswith((".cu", ".cuh", ".sh", ".toml")):
            return self.of_source(path, "")
        if path.endswith(".py"):
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            return self.places.get(f"{module}.{name}") or self.of_source(path, name)
        if path.startswith("docs/") and path.endswith(".md"):
            return self.page(path[5:-3])
        called = text.removesuffix("()")
        if called in self.places:
            return self.places[called]
        found = self.short.get(called, ())
        return next(iter(found)) if len(found) == 1 and called[:1].isupper() else None

    def of_source(self, path, name):
        """The place in the page that shows a file."""
        return (sources.page_of(path), name) if path in self.files else None

    def page(self, name):
        """The place of a page, if there is one."""
        return (name, "") if name in self.app.env.found_docs else None

    def refer(self, page, node, to, anchor):
        """Make a node a link."""
        if isinstance(node.parent, nodes.reference) or (to == page and not anchor):
            return
        if to not in self.app.env.found_docs:
            uri = self.app.builder.get_relative_uri(page, to) + (f"#{anchor}" if anchor else "")
            link = nodes.reference("", "", node.deepcopy(), internal=True, refuri=uri)
        else:
            link = make_refnode(self.app.builder, page, to, anchor, node.deepcopy())
        node.replace_self(link)

    def split(self, page, node):
        """Make links of the lessons and exercises that a text names."""
        kept = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.math)
        if any(isinstance(parent, kept) for parent in _parents(node)):
            return
        text, parts, end = node.astext(), [], 0
        for match in NAMED.finditer(text):
            place = self.page(self.named(match))
            if place and place[0] != page:
                parts.append(nodes.Text(text[end : match.start()]))
                words = nodes.inline("", match[0])
                parts.append(make_refnode(self.app.builder, page, *place, words))
                end = match.end()
        if parts:
            node.parent.replace(node, [*parts, nodes.Text(text[end:])])

    @staticmethod
    def named(match):
        """The page of a lesson or an exercise."""
        if match["exercise"]:
            return f"exercises/{match['exercise']}"
        number = f"{int(match['lesson']):02}_"
        return next((f"lessons/{p.stem}" for p in lessons() if p.name.startswith(number)), "")


def _parents(node):
    while node.parent is not None:
        node = node.parent
        yield node


def _real_name(name):
    """The module in which a documented name is defined, and its name there."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        module, qualified = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        return f"{module}.{qualified}" if module and qualified else name
    return name
