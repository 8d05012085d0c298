"""Text on its way to a terminal: safe from what names hold, aligned as tables, and progress bars.

Names of files and classes may hold what a terminal obeys. An escape sequence changes colours,
titles, or what was printed before; marks of direction turn a line round; a line break forges a
line. All of them are printed as Python writes them in a string. Letters of any script stay as they
are.
"""

import contextlib
import logging
import re
import sys
import unicodedata
import warnings
from pathlib import Path

from tqdm import tqdm

from vqv2.errors import InputError

NUMBER = re.compile(r"[-+−]?(\d[\d,]*)?\.?\d+([eE][-+]?\d+)?( ?([A-Za-z/%×]+|±.*|\[.*\]))?")
BLANK = ("", "-", "–", "—", "nan", "inf", "-inf")
COLUMN_SPACE = "  "
SECONDS_BETWEEN_LINES = 30  # where every refresh is a new line

_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories: control, format, no character
_JOINERS = "\u200c\u200d"  # format letters of several scripts, and emoji, and do nothing else
_PACKAGE = Path(__file__).parent
_NOWHERE = logging.NullHandler()


def printable(text):
    """Text as one line, in which nothing is obeyed by a terminal."""
    text = str(text)
    return text if text.isprintable() else "".join(map(_escaped, text))


@contextlib.contextmanager
def guarded():
    """Context manager: inside, what is printed and warned of is not obeyed by the terminal.

    Line breaks and tabs stay, as tables have them: a line that has a name in it goes through
    `printable`. Warnings become one line; those of Pillow are dropped, as what is wrong with an
    image has been found out otherwise (`vqv2.data.decode`).
    """
    with (
        contextlib.redirect_stdout(_Guarded(sys.stdout)),
        contextlib.redirect_stderr(_Guarded(sys.stderr)),
        warnings.catch_warnings(),
    ):
        quieten_pillow()
        former, warnings.formatwarning = warnings.formatwarning, _warning
        try:
            yield
        finally:
            warnings.formatwarning = former


def quieten_pillow():
    """Drop Pillow's warnings, and what it logs where nobody asked for a log: no file is named."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(_NOWHERE)


def beneath(stream):
    """The stream that a guarded one writes to, for a progress bar, which moves the cursor."""
    return getattr(stream, "_wrapped", stream)


class _Guarded:
    """A text stream that escapes; everything else is the stream's own."""

    def __init__(self, stream):
        self._wrapped = stream  # tqdm's name for it: it knows the stream of its bar by that

    def write(self, text):
        """Write text; returns its length."""
        self._wrapped.write(_escaped_lines(text))
        return len(text)

    def __getattr__(self, name):
        return getattr(self._wrapped, name)


def _escaped_lines(text):
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" else _escaped(letter) for letter in text)


def _escaped(letter):
    if letter in _JOINERS or unicodedata.category(letter) not in _OBEYED:
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def _warning(message, category, filename, lineno, line=None):
    ours = _PACKAGE in Path(filename).parents
    where = "" if ours else f" ({category.__name__}, {filename}, line {lineno})"
    return printable(f"vqv2: {message}{where}") + "\n"


def format_table(columns, rows):
    """The table as aligned plain text, numbers to the right, without a final line break.

    Cells are shown as `str` shows them: give a float as the string it should be. What a terminal
    would obey is escaped. Raises `InputError` for a row with the wrong number of cells.
    """
    columns, rows = cells_of(columns, rows)
    aligned = [">" if is_numeric else "<" for is_numeric in numeric_columns(columns, rows)]
    lines = [[printable(cell) for cell in line] for line in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        COLUMN_SPACE.join(
            f"{cell:{side}{width}}" for cell, side, width in zip(line, aligned, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def cells_of(columns, rows):
    """(headings, rows) as text. Raises `InputError` for a row with the wrong number of cells."""
    columns = [str(column) for column in columns]
    rows = [[str(cell) for cell in row] for row in rows]
    for position, row in enumerate(rows):
        if len(row) != len(columns):
            raise InputError(
                f"row {position} of a table has {len(row)} cells but the table has "
                f"{len(columns)} columns: give one cell for each"
            )
    return columns, rows


def numeric_columns(columns, rows):
    """For each column: does it hold numbers (gaps allowed), so that it is aligned right?"""
    return [_all_numbers([row[position] for row in rows]) for position in range(len(columns))]


def _all_numbers(cells):
    filled = [cell.strip() for cell in cells if cell.strip().lower() not in BLANK]
    return bool(filled) and all(NUMBER.fullmatch(cell) for cell in filled)


def progress_bar(total, description, unit, shown=True, initial=0, delay=0):
    """A tqdm bar on standard error; a context manager with `update` and `set_postfix`.

    It is not seen before `delay` seconds: for what is usually done at once. Nor is it where the
    variable TQDM_DISABLE is set.
    """
    hidden = {} if shown else {"disable": True}
    return tqdm(
        total=total,
        desc=printable(description),
        file=beneath(sys.stderr),
        unit=unit,
        initial=initial,
        delay=delay,
        mininterval=0.2 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES,
        **hidden,
    )
