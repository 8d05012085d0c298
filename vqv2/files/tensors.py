"""safetensors: a length, a JSON header {name: dtype, shape, place}, and the numbers.

The safetensors package reads it, too, but what it says of a header that is not as it expects is an
exception of NumPy's more often than its own, and it opens whatever it is given. It writes what
NumPy has a dtype for, of which bfloat16 is none.
"""

import contextlib
import json
import math
import os
from typing import NamedTuple

import numpy as np

from backends.precision import bfloat16_bits, widen
from vqv2.files.opening import reading, shown
from vqv2.files.text import Each, Many, Table, Text, Whole, parse_json
from vqv2.files.writing import atomic_write

LONGEST_HEADER = 2**25  # bytes: 200 000 arrays
MOST_AXES = 32
BFLOAT16 = "BF16"
DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    BFLOAT16: np.uint16,  # the upper halves of float32 numbers, which is what they are read as
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
}
_NAMES = {np.dtype(dtype).name: name for name, dtype in DTYPES.items() if name != BFLOAT16}
_ALIGNED = 8  # bytes, of which the header fills a multiple
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
        """A copy of one array; float32 where bfloat16 is stored."""
        entry = self.entries[name]
        numbers = np.empty(math.prod(entry.shape), DTYPES[entry.dtype])
        self._file.seek(entry.start)
        if self._file.readinto(numbers.view(np.uint8)) != entry.nbytes:
            raise ValueError("it has become shorter while it was read")
        numbers = widen(numbers) if entry.dtype == BFLOAT16 else numbers
        return numbers.reshape(entry.shape)


@contextlib.contextmanager
def open_tensors(path, remedy):
    """Context manager: the `Tensors` at `path`. Raises as `vqv2.files.reading` does."""
    with reading(path, remedy) as file:
        yield Tensors(file)


def write_tensors(path, arrays, header, bfloat16=()):
    """Write {name: NumPy array} and `header` {text: text}.

    The arrays named in `bfloat16`, float32, are rounded to that, and take half the bytes. Either
    the whole file is there afterwards or the former one still is. Raises `InputError` when it
    cannot be written (no space, no permission).
    """
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with atomic_write(path) as target, open(target, "wb") as file:
        write_all(file, arrays, header, frozenset(bfloat16))


def write_all(file, arrays, header, bfloat16):
    """The contents of a file: those of the largest numbers first, so that all lie aligned."""
    kinds = {name: _kind(name, array, bfloat16) for name, array in arrays.items()}
    names = sorted(arrays, key=lambda name: (-np.dtype(DTYPES[kinds[name]]).itemsize, name))
    entries, place = {_METADATA: header}, 0
    for name in names:
        size = arrays[name].size * np.dtype(DTYPES[kinds[name]]).itemsize
        places = [place, place := place + size]
        entries[name] = {"dtype": kinds[name], "shape": arrays[name].shape, "data_offsets": places}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % _ALIGNED)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        array = bfloat16_bits(arrays[name]) if kinds[name] == BFLOAT16 else arrays[name]
        file.write(array.reshape(-1).view(np.uint8))


def _kind(name, array, bfloat16):
    """The format's name of the dtype that an array is stored in."""
    return BFLOAT16 if name in bfloat16 else _NAMES[array.dtype.name]


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
