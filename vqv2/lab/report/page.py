"""Results to read: a self-contained HTML page, and the same tables for a terminal."""

import base64
import io
import re
from dataclasses import dataclass
from html import escape

from PIL import Image

from vqv2.errors import InputError
from vqv2.files import atomic_write, content_of
from vqv2.terminal import cells_of, numeric_columns

LARGEST_PICTURE = 2**28  # bytes
LEAST_SCALE = 0.4  # smaller than that no picture is shown, however narrow the page
STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #62626a; --line: #dcdce0;
  --paper: #ffffff; --band: #f5f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf0; --soft: #a0a0aa; --line: #3a3a40; --paper: #17171a; --band: #212126; }
}
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 2rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 .75rem; padding-top: 1.25rem;
  border-top: 1px solid var(--line); }
p { max-width: 42rem; margin: 0 0 1rem; white-space: pre-line; }
.wide { overflow-x: auto; margin: 1.25rem 0; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
caption, figcaption { color: var(--soft); font-size: .9rem; line-height: 1.45; text-align: left; }
caption { caption-side: bottom; padding-top: .5rem; max-width: calc(100vw - 3rem); }
figcaption { margin-top: .5rem; max-width: 42rem; }
th, td { padding: .4rem .9rem; text-align: left; border-bottom: 1px solid var(--line); }
th { border-bottom: 2px solid var(--soft); font-weight: 600; }
tbody tr:nth-child(even) { background: var(--band); }
.number { text-align: right; }
td.number { white-space: nowrap; }
figure { margin: 1.5rem 0; }
figure .wide { margin: 0; }
img { display: block; max-width: 100%; height: auto; border: 1px solid var(--line);
  border-radius: 6px; background: #ffffff; box-sizing: border-box; }
"""


@dataclass(frozen=True)
class Table:
    """`columns`: the headings; `rows`: a list of rows of cells, strings as they should appear."""

    columns: list
    rows: list
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs (blank lines between), a `Table`, and pictures [(path, caption)]."""

    heading: str
    text: str = ""
    table: Table | None = None
    pictures: tuple = ()


def save_page(path, title, sections):
    """Write the list `sections` as one HTML file that needs no other file and no network.

    Pictures are embedded; all text is escaped. Raises `InputError` when a picture cannot be read,
    a table's row has the wrong number of cells, or `path` cannot be written.
    """
    body = "\n".join(_section(section) for section in sections)
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
    with atomic_write(path) as temporary:
        # A name in it may come from a file's, which need not be text in any encoding.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _section(section):
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    paragraphs = re.split(r"\n\s*\n", section.text.strip())
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs if paragraph]
    if section.table is not None:
        parts.append(_table(section.table))
    parts += [_picture(path, caption) for path, caption in section.pictures]
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def _table(table):
    columns, rows = cells_of(table.columns, table.rows)
    kinds = [' class="number"' if numeric else "" for numeric in numeric_columns(columns, rows)]
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = _row("th", columns, kinds)
    body = "\n".join(_row("td", row, kinds) for row in rows)
    return (
        f'<div class="wide"><table>{caption}\n<thead>{head}</thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(tag, cells, kinds):
    inner = "".join(
        f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True)
    )
    return f"<tr>{inner}</tr>"


def _picture(path, caption):
    """A picture no wider than the page; on a narrow page it scrolls rather than shrink away."""
    try:
        content = content_of(path, "evaluate again", LARGEST_PICTURE)
        with Image.open(io.BytesIO(content)) as image:
            kind, (width, height) = image.get_format_mimetype(), image.size
    except InputError as error:
        raise InputError(f"cannot put a picture on the page: {error}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError(
            f"cannot put the picture {path} on the page: it is not a picture; evaluate again"
        ) from None
    source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><div class="wide"><img src="{source}" width="{width}" height="{height}" '
        f'style="min-width: {round(LEAST_SCALE * width)}px" alt="{escape(caption)}"></div>{below}'
        "</figure>"
    )
