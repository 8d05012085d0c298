"""Files that anyone may have made, or that may be lost: strict readers, and writers that lose none.

Every format has one reader, which knows how large the contents will be before it takes memory for
them, refuses what it does not know, and raises one sentence: which file, what is wrong with it, and
the remedy that the caller names.

opening.py  regular files only; what errors become; checksums
writing.py  a failure never costs the file that was there before
text.py     JSON, JSON lines and TOML; which fields an object has, of which type and bounds
arrays.py   NumPy's arrays, read row by row, and archives of them
tensors.py  safetensors
"""

from vqv2.files.arrays import ArrayFile, archive, open_array
from vqv2.files.opening import NotAFile, content_of, open_regular, reading, shown
from vqv2.files.tensors import open_tensors, write_tensors
from vqv2.files.text import check_json, json_lines, parse_json, read_json, read_toml
from vqv2.files.writing import (
    atomic_write,
    check_writable,
    link,
    make_folder,
    remove_partial,
    write_json,
)

__all__ = [
    "ArrayFile",
    "NotAFile",
    "archive",
    "atomic_write",
    "check_json",
    "check_writable",
    "content_of",
    "json_lines",
    "link",
    "make_folder",
    "open_array",
    "open_regular",
    "open_tensors",
    "parse_json",
    "read_json",
    "read_toml",
    "reading",
    "remove_partial",
    "shown",
    "write_json",
    "write_tensors",
]
