"""How Sphinx makes the book of this folder, of `examples/` and of the docstrings: `make book`.

`-t quick` runs the lessons with `--quick`. Nothing is fetched, neither by the build nor by a page.
"""

import os
import sys
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"  # a progress bar is nothing to read afterwards
DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent), str(DOCS.parent / "examples")]

from book import lessons  # noqa: E402  (the path comes first)

from vqv2 import __version__ as release  # noqa: E402, F401

project = "vqv2"
html_title = "vqv2"
language = "en"
smartquotes_action = "qe"  # quotes and ellipses; -- begins an option
pygments_dark_style = "github-dark"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "book.docstrings",
    "book.exercises",
    "book.folded",
    "book.links",
    "book.mathml",
    "book.names",
    "book.sources",
]
exclude_patterns = ["book", "diagrams/*.py"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
toc_object_entries_show_parents = "hide"
html_math_renderer = "mathml"

quick = tags.has("quick")  # noqa: F821  (Sphinx gives it)
sphinx_gallery_conf = {
    "examples_dirs": str(lessons.write_scripts(quick)),
    "gallery_dirs": "lessons",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "reset_argv": "book.lessons.quick_arguments" if quick else "book.lessons.full_arguments",
    "reset_modules": (),
    "image_scrapers": ("book.lessons.pictures",),
    "capture_repr": (),
    "first_notebook_cell": lessons.FIRST_CELL,
    "notebook_images": True,
    "write_computation_times": False,
    "min_reported_time": 10**6,  # seconds: never
    "thumbnail_size": (480, 300),
    "inspect_global_variables": False,
}

html_theme = "furo"
html_static_path = ["book/static"]
html_css_files = ["book.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5cad", "color-brand-content": "#0b5cad"},
    "dark_css_variables": {"color-brand-primary": "#7db8f5", "color-brand-content": "#7db8f5"},
}
