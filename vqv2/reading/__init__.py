"""Reading files that anyone may have made: damaged, half written, forged, or something else.

Every format has one strict reader here, which knows how large the contents will be before it takes
memory for them, refuses what it does not know, and raises one sentence: which file, what is wrong
with it, and the remedy that the caller names.

file.py     regular files only; what errors become
text.py     JSON, JSON lines and TOML, of bounded size and depth
schema.py   which fields an object has, of which type, within which bounds
npy.py      NumPy's arrays, to be mapped, and archives of them
tensors.py  safetensors
"""

from vqv2.reading.file import content_of, reading
from vqv2.reading.npy import archive, map_array, open_array
from vqv2.reading.tensors import tensors
from vqv2.reading.text import check_json, json_lines, parse_json, read_json, read_toml

__all__ = [
    "archive",
    "check_json",
    "content_of",
    "json_lines",
    "map_array",
    "open_array",
    "parse_json",
    "read_json",
    "read_toml",
    "reading",
    "tensors",
]
