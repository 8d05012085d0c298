"""Code that only draws a lesson's picture is folded away: the picture is what is looked at."""

from docutils import nodes

BEFORE = '<details class="drawing"><summary>The code that draws the picture</summary>'


def setup(app):
    """Fold the code of every lesson's section that draws."""
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True}


def fold(app, doctree):
    """Wrap the code of sections called "Draw ..." so that a click shows it."""
    if not app.env.docname.startswith("lessons/"):
        return
    for section in list(doctree.findall(nodes.section)):
        if section.next_node(nodes.title).astext().startswith("Draw "):
            for code in list(section.findall(is_code)):
                parts = (nodes.raw("", BEFORE, format="html"), code.deepcopy(),
                         nodes.raw("", "</details>", format="html"))  # fmt: skip
                code.parent.replace(code, parts)


def is_code(node):
    """Whether a node is a block of code, and not what it printed."""
    return isinstance(node, nodes.literal_block) and node.get("language") == "Python"
