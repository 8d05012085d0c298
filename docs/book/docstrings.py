"""Docstrings, which are written to be read in an editor, as reStructuredText for the API pages."""

from book.restructured import to_rst


def setup(app):
    """Convert what autodoc reads."""
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True}


def convert(app, what, name, obj, options, lines):
    """Replace the lines of a docstring by their reStructuredText."""
    lines[:] = to_rst("\n".join(lines)).splitlines()
