"""safetensors: a length, a JSON header {name: dtype, shape, place}, and the numbers.

The safetensors package writes ours. It reads too, but what it says of a header that is not as it
expects is an exception of NumPy's more often than its own, and it opens whatever it is given.
"""

import contextlib
import math
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from vqv2.files.opening import reading, shown
from vqv2.files.text import Each, Many, Table, Text, Whole, parse_json
from vqv2.files.writing import atomic_write

LONGEST_HEADER = 2**25  # bytes: 200 000 arrays
MOST_AXES = 32
DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
}
_METADATA = "__metadata__"
_PLACE = Whole(0, 2**60)
_ENTRY = Table({"dtype": Text(), "shape": Many(_PLACE), "data_offsets": Many(_PLACE)})


class Entry(NamedTuple):
    """One array: the name of its dtype, its shape, and the place of its first byte."""

    dtype: str
    shape: tuple
    start: int

    @property
    def nbytes(self):
        """Of all numbers; an exact int, however large."""
        return math.prod(self.shape) * np.dtype(DTYPES[self.dtype]).itemsize


class Tensors:
    """An open file: `metadata` {text: text}, and `entries` {name: `Entry`}, nothing read yet."""

    def __init__(self, file):
        self._file = file
        length = os.fstat(file.fileno()).st_size
        start = 8 + int.from_bytes(file.read(8), "little")
        if start > min(length, LONGEST_HEADER):
            raise ValueError("it is not a safetensors file, or has been cut off")
        header = parse_json(file.read(start - 8))
        self.metadata = header.pop(_METADATA, {})
        Each(Text()).check(self.metadata, "metadata")
        _check_text(*header, *self.metadata, *self.metadata.values())
        self.entries = {name: _entry(name, fields, start) for name, fields in header.items()}
        _check_places(self.entries.values(), start, length)

    def read(self, name):
        """A copy of one array."""
        entry = self.entries[name]
        numbers = np.empty(math.prod(entry.shape), DTYPES[entry.dtype])
        self._file.seek(entry.start)
        if self._file.readinto(numbers.view(np.uint8)) != entry.nbytes:
            raise ValueError("it has become shorter while it was read")
        return numbers.reshape(entry.shape)


@contextlib.contextmanager
def open_tensors(path, remedy):
    """Context manager: the `Tensors` at `path`. Raises as `vqv2.files.reading` does."""
    with reading(path, remedy) as file:
        yield Tensors(file)


def write_tensors(path, arrays, header):
    """Write {name: NumPy array in C order} and `header` {text: text}.

    Either the whole file is there afterwards or the former one still is. Raises `InputError` when
    it cannot be written (no space, no permission).
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    # The library writes under a name of its own first, beside the file, and leaves that one there
    # when it is killed: in this folder it is found and removed (`remove_partial`).
    with (
        atomic_write(path) as target,
        tempfile.TemporaryDirectory(".partial", f"{target.name}.", target.parent) as folder,
    ):
        written = Path(folder) / target.name.lstrip(".")
        written.touch()
        mode = written.stat().st_mode  # as for any file; the library lets the owner only read it
        try:
            save_file(arrays, written, header)
        except SafetensorError as error:  # how the library reports a full disk
            raise OSError(str(error)) from error
        written.chmod(mode)
        os.replace(written, target)


def _check_text(*texts):
    """JSON can escape halves of letters, which no program can write down."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{shown(text)} in it is no text") from None


def _entry(name, fields, start):
    _ENTRY.check(fields, shown(name))
    dtype, shape, (first, last) = fields["dtype"], fields["shape"], _pair(fields["data_offsets"])
    if dtype not in DTYPES:
        raise ValueError(f"its array {shown(name)} is of {shown(dtype)}, which NumPy lacks")
    if len(shape) > MOST_AXES or math.prod(size or 1 for size in shape) >= 2**60:
        raise ValueError(f"its array {shown(name)} has the shape {shown(shape)}")
    entry = Entry(dtype, tuple(shape), start + first)
    if first + entry.nbytes != last:
        raise ValueError(f"its array {shown(name)} has {last - first} bytes, not {entry.nbytes}")
    return entry


def _pair(offsets):
    if len(offsets) != 2:
        raise ValueError(f"its data_offsets are {shown(offsets)}")
    return offsets


def _check_places(entries, start, length):
    """The arrays follow one another without gaps, up to the end of the file."""
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.nbytes)):
        if entry.start != start:
            raise ValueError("its arrays have gaps between them, or lie over one another")
        start += entry.nbytes
    if start != length:
        raise ValueError(f"its arrays end at byte {start}, but the file has {length}")
