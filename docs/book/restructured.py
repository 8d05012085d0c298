"""The text of lessons, exercises and docstrings, which is nearly Markdown, as reStructuredText.

Paragraphs, lists, `code`, *emphasis*, [links](to), $formulas$ and pictures are as in Markdown.
Lines indented by four are shown as they stand. Lines in two columns, name and meaning,

    levels     names, coarse to fine

are a list of fields.
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
ITEM = re.compile(r"(?:[-*]|\d+\.) +")


def to_rst(text, target=str):
    """Text as reStructuredText; `target` says where a link leads here."""
    return "\n\n".join(_block(block, target) for block in _blocks(text)) + "\n"


def _blocks(text):
    """Paragraphs, lists and indented parts, each a list of lines."""
    blocks, former = [], None
    for line in text.expandtabs().splitlines():
        kind = _kind(line, former)
        if kind != former or (kind == "item" and not blocks):
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
        former = kind
    return [block for block in blocks if block]


def _kind(line, former):
    """What a line belongs to: "blank", "item" (a list), "indented" or "text"."""
    if not line.strip():
        return "blank"
    indent = len(line) - len(line.lstrip())
    if ITEM.match(line.lstrip()) or (former == "item" and indent >= 2):
        return "item"
    return "indented" if indent >= 4 else "text"


def _block(lines, target):
    text = "\n".join(lines)
    if ITEM.match(text.lstrip()):
        text = re.sub(r"^( *)\*(?= )", r"\1-", textwrap.dedent(text), flags=re.MULTILINE)
        return _inline(text, target)
    if picture := PICTURE.fullmatch(text.strip()):
        return f".. image:: {picture['path']}\n   :alt: {picture['words']}"
    if text.startswith("$$"):
        return ".. math::\n\n" + textwrap.indent(text.strip("$\n "), "   ")
    if fields := _fields(textwrap.dedent(text).splitlines()):
        return "\n".join(f":{name}: {_inline(meaning, target)}" for name, meaning in fields)
    if lines[0].startswith("    "):
        return ".. code-block:: text\n\n" + textwrap.indent(textwrap.dedent(text), "   ")
    return _inline(text, target)


def _fields(lines):
    """[(name, meaning)] of lines in two columns; an empty list of all others."""
    start = re.match(r"\S(?:[^=<\s]| (?! ))*  +(?=\S)", lines[0])
    if not start:
        return []
    fields, column = [], start.end()
    for line in lines:
        name, meaning = line[:column], line[column:]
        if not name.endswith("  ") or meaning.startswith(" ") or re.search("[=<]", name):
            return []
        if name.strip():
            fields.append((_escape(name.strip()).replace(":", r"\:"), meaning))
        else:
            fields[-1] = fields[-1][0], f"{fields[-1][1]} {meaning}"
    return fields


def _inline(text, target):
    """The marks within lines; everything else is protected from meaning something."""
    written, end = "", 0
    for match in INLINE.finditer(text):
        written += _escape(text[end : match.start()])
        before = "" if re.search(r"(^|[\s'\"(\[{<:/-])$", written) else r"\ "
        after = "" if re.match(r"$|[\s'\")\]}>:/.,;!?-]", text[match.end() :]) else r"\ "
        written += before + _marked(match, target) + after
        end = match.end()
    return written + _escape(text[end:])


def _marked(match, target):
    if match["code"]:
        return f"`{match['code']}`"
    if match["math"]:
        return f":math:`{match['math']}`"
    if match["words"]:
        return f"`{match['words']} <{target(match['target'])}>`__"
    return match["strong"] or match["emphasis"]


def _escape(text):
    return re.sub(r"([\\*`|]|_(?!\w))", r"\\\1", text)
