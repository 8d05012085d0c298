"""Tables as aligned plain text, for a terminal."""

import re

from vqv2.errors import InputError
from vqv2.terminal import printable

NUMBER = re.compile(r"[-+−]?(\d[\d,]*)?\.?\d+([eE][-+]?\d+)?( ?([A-Za-z/%×]+|±.*|\[.*\]))?")
BLANK = ("", "-", "–", "—", "nan", "inf", "-inf")
COLUMN_SPACE = "  "


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
