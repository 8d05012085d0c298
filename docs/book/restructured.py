"""The text of lessons, exercises and docstrings, which is nearly Markdown, as reStructuredText.

Paragraphs, lists, `code`, *emphasis*, [links](to), $formulas$ and pictures are as in Markdown.
Lines indented by four are shown as they stand. Lines in two columns, name and meaning,

    levels     names, coarse to fine

are a list of definitions.
"""

import re
import textwrap

INLINE = re.compile(
    r"(?P<code>`[^`]+`)"
    r"|\$(?P<math>[^$\s](?:[^$]*[^$\s])?)\$"
    r"|\[(?P<words>[^]]+)\]\((?P<target>[^)\s]+)\)"
    r"|(?P<strong>\*\*[^*\s](?:[^*]*[^*\s])?\*\*)"
    r"|(?<![\w*])(?P<emphasis>\*[^*\s](?:[^*]*[^*\s])?\*)(?![\w*])"
)
PICTURE = re.compile(r"!\[(?P<words>[^]]*)\]\((?:\.\./docs)?(?P<path>[^)]+)\)")
COLUMNS = re.compile(r"\S(?:[^=<\s]| (?! ))*  +(?=\S)")
ITEM = re.compile(r"(?:[-*]|\d+\.) +")


def to_rst(text):
    """Text as reStructuredText."""
    return "\n\n".join(map(_block, _blocks(text))) + "\n"


def _blocks(text):
    """Paragraphs, lists and indented parts, each a list of lines."""
    blocks, former = [], None
    for line in text.splitlines():
        kind = _kind(line, former)
        if kind != former:
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
        former = kind
    return [block for block in blocks if block]


def _kind(line, former):
    """What a line belongs to: "blank", "item" (a list), "columns", "indented" or "text"."""
    text = line.lstrip()
    indent = len(line) - len(text)
    if not text:
        return "blank"
    if ITEM.match(text) or (former == "item" and indent >= 2):
        return "item"
    if former == "columns" or (former != "indented" and COLUMNS.match(text)):
        return "columns"
    return "indented" if indent >= 4 else "text"


def _block(lines):
    """One of them as reStructuredText."""
    text = "\n".join(lines)
    if ITEM.match(text.lstrip()):
        text = re.sub(r"^( *)\*(?= )", r"\1-", textwrap.dedent(text), flags=re.MULTILINE)
        return _inline(text)
    if picture := PICTURE.fullmatch(text.strip()):
        return f".. image:: {picture['path']}\n   :alt: {picture['words']}"
    if text.startswith("$$"):
        return ".. math::\n\n" + textwrap.indent(text.strip("$\n "), "   ")
    text = textwrap.dedent(text)
    if rows := fields(text.splitlines()):
        terms = (f"{_inline(name)}\n   {_inline(meaning)}" for name, meaning in rows)
        return "\n".join([".. rst-class:: columns\n", *terms])
    if lines[0].startswith("    ") or "\n " in text:
        return ".. code-block:: text\n\n" + textwrap.indent(text, "   ")
    return _inline(text)


def fields(lines):
    """[(name, meaning)] of lines in two columns; an empty list of all others.

    A name may be too long for the column; lines without a name carry on with the meaning.
    """
    start = COLUMNS.match(lines[0])
    if not start:
        return []
    rows, column = [], start.end()
    for line in lines:
        name, meaning = line[:column], line[column:]
        if row := COLUMNS.match(line):
            rows.append((row[0].strip(), line[row.end() :]))
        elif not name.strip() and not meaning.startswith(" "):
            rows[-1] = rows[-1][0], f"{rows[-1][1]} {meaning}"
        elif name.endswith(" ") and re.fullmatch(r"[^=<\s]+ ", name):
            rows.append((name.strip(), meaning))
        else:
            return []
    return rows


def _inline(text):
    """The marks within lines; everything else is protected from meaning something."""
    written, end = "", 0
    for match in INLINE.finditer(text):
        written += _escape(text[end : match.start()])
        before = "" if re.search(r"(^|[\s'\"(\[{<:/-])$", written) else r"\ "
        after = "" if re.match(r"$|[\s'\")\]}>:/.,;!?-]", text[match.end() :]) else r"\ "
        written += before + _marked(match) + after
        end = match.end()
    return written + _escape(text[end:])


def _marked(match):
    if match["code"]:
        return f"`{match['code']}`"
    if match["math"]:
        return f":math:`{match['math']}`"
    if page := re.fullmatch(r"\.\./docs/([\w-]+)\.md", match["target"] or ""):
        return f":doc:`{match['words']} </{page[1]}>`"
    if match["words"]:
        return f"`{match['words']} <{match['target']}>`_"
    return match["strong"] or match["emphasis"]


def _escape(text):
    return re.sub(r"([\\*`|]|_(?!\w))", r"\\\1", text)
