"""Formulas as MathML, which browsers typeset by themselves: no script, and nothing to fetch."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

SPACE = '<mspace width="0.17em"/>'  # between a function and what has no brackets: log x
logger = logging.getLogger(__name__)


def setup(app):
    """Register the renderer that `html_math_renderer = "mathml"` chooses."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}


def inline(translator, node):
    """A formula within a sentence."""
    translator.body.append(typeset(node, as_block=False))
    raise nodes.SkipNode


def block(translator, node):
    """A formula on lines of its own, which scrolls where the page is narrower."""
    translator.body.append(f'<div class="math">{typeset(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def typeset(node, as_block):
    """The MathML of a formula; one that cannot be typeset is a warning, and shown as it is."""
    try:
        formula = tex2mathml(node.astext(), as_block=as_block)
        return re.sub(r"(?<=<mo>&ApplyFunction;</mo>)(?!\s*<mo[^>]*>[(\[])", SPACE, formula)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return f"<code>{nodes.Text(node.astext()).astext()}</code>"
