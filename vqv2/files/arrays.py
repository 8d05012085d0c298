"""NumPy's .npy files and .npz archives, by a reader that knows nothing but arrays of numbers.

NumPy's own evaluates the header as a Python literal, and takes it at its word. Here the header has
to be one of the few forms that a plain array has, and the file exactly as long as it says.

A mapped file that is cut while it is read ends the program without a word (SIGBUS). An `ArrayFile`
is read row by row instead, and what goes wrong is an error which names the file. There is no place
in the file that threads, or processes that were forked, could move for each other.
"""

import contextlib
import math
import os
import re
import struct
import threading
import weakref
import zipfile
from typing import NamedTuple

import numpy as np

from vqv2.errors import InputError
from vqv2.files.opening import reading, shown

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 4096  # bytes; that of a plain array has 128
MOST_AXES = 32
UNQUESTIONED = 2**28  # bytes that an archive's array may take in memory, and beyond it
EXPANSION = 100  # times as many as in the file: pictures do not compress as well as that
_DESCR = r"'descr' *: *'(?P<descr>[<>|=]?[a-zA-Z?][0-9]{0,9})'"
_ORDER = r"'fortran_order' *: *(?P<order>True|False)"
_SHAPE = r"'shape' *: *\((?P<shape>[0-9, ]*)\)"
_HEADER = re.compile(rf"\{{ *(?:(?:{_DESCR}|{_ORDER}|{_SHAPE}) *,? *){{3}}\}}\s*")
_BLOCK = 2**20
_NUMBERS = "biufcSU"  # kinds of dtypes: none of them is a Python object


class Header(NamedTuple):
    """What the beginning of a .npy file says; `start` is the place of the first number."""

    dtype: np.dtype
    shape: tuple
    order: str
    start: int

    @property
    def count(self):
        """Of numbers; an exact int, however large."""
        return math.prod(self.shape)

    @property
    def nbytes(self):
        """Of all numbers."""
        return self.count * self.dtype.itemsize


def open_array(path, remedy):
    """The array in a .npy file as an `ArrayFile`; a number, and Fortran's order, as an array.

    Raises as `vqv2.files.reading` does.
    """
    with reading(path, remedy) as file:
        header = read_header(file)
        check_length(header, os.fstat(file.fileno()).st_size)
        if header.order == "F" or not header.shape:
            return _numbers(file, header).reshape(header.shape, order="F")
        return ArrayFile(path, file, header.dtype, header.shape, header.start)


def read_header(file):
    """The `Header` of an array that begins here. Raises `ValueError`."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin like one")
    version = file.read(2)
    width, code = (2, "<H") if version == b"\1\0" else (4, "<I")
    if version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("it is of an unknown version")
    (length,) = struct.unpack(code, file.read(width))
    if length > LONGEST_HEADER:
        raise ValueError(f"its header has {length} bytes, more than that of an array of numbers")
    text = file.read(length).decode("ascii")
    if len(text) < length:
        raise ValueError("it ends within its header")
    dtype, shape, order = _parse(text.replace('"', "'"))
    return Header(dtype, shape, order, len(MAGIC) + 2 + width + length)


def _parse(text):
    found = _HEADER.fullmatch(text)
    if found is None or None in found.group("descr", "order", "shape"):
        raise ValueError(f"its header is {shown(text.strip())}, not that of an array of numbers")
    shape = tuple(int(size) for size in found["shape"].split(",") if size.strip())
    if len(shape) > MOST_AXES or math.prod(size or 1 for size in shape) >= 2**60:
        raise ValueError(f"its shape is {shown(shape)}")
    return _dtype(found["descr"]), shape, "F" if found["order"] == "True" else "C"


def _dtype(text):
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"its numbers are {text}, which NumPy does not know") from None
    if dtype.kind not in _NUMBERS or not dtype.itemsize:
        raise ValueError(f"it holds {dtype}, not numbers")
    return dtype


def check_length(header, length):
    """Raise `ValueError` unless a file of `length` bytes has all numbers and nothing else."""
    if header.start + header.nbytes != length:
        raise ValueError(
            f"its header says {header.dtype} {shown(header.shape)}, "
            f"{header.nbytes} bytes, but {length - header.start} follow"
        )


class Archive:
    """The arrays of an .npz file by name. An array's size is known before it takes memory."""

    def __init__(self, path, file):
        self._path = path
        self._length = os.fstat(file.fileno()).st_size
        self._zip = zipfile.ZipFile(file)
        members = self._zip.infolist()
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        if len(self._members) < len(members):
            raise ValueError("two of its arrays have the same name")
        self.names = list(self._members)

    def read(self, name):
        """The array `name`. Raises `InputError` when it would fill the memory."""
        member = self._members[name]
        stored = min(member.compress_size, self._length)
        if member.file_size > max(UNQUESTIONED, EXPANSION * stored):
            raise InputError(
                f"{self._path} has {stored} bytes which become {member.file_size} in memory "
                f"({shown(name)}), as no pictures do: save the array with numpy.save instead"
            )
        with self._zip.open(member) as stream:
            header = read_header(stream)
            check_length(header, member.file_size)
            return _numbers(stream, header).reshape(header.shape, order=header.order)


def _numbers(stream, header):
    """All numbers that follow a header, as one row; to the end, where the checksum is compared."""
    numbers = np.empty(header.count, header.dtype)
    content, filled = numbers.view(np.uint8), 0
    while block := stream.read(_BLOCK):
        if filled + len(block) > len(content):
            break
        content[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
        filled += len(block)
    check_length(header, header.start + filled + len(block))
    return numbers


@contextlib.contextmanager
def archive(path, remedy):
    """Context manager: the `Archive` at `path`. Raises as `vqv2.files.reading` does."""
    with reading(path, remedy) as file:
        yield Archive(path, file)


class ArrayFile:
    """An array (N, ...) in C order in a file, of which rows are read as from an array in memory.

    dtype, shape, ndim, nbytes  as of an array
    path                        what the file is called in messages
    start                       the place of the array's first byte in the file

    `file` is the open file; it may be closed afterwards.

    `array[i]`, `array[i:j]` and `array[[i, j, ...]]` are copies of rows. All raise `InputError`
    where the file has become too short, or cannot be read any more.
    """

    def __init__(self, path, file, dtype, shape, start):
        self.path = path
        self.dtype = np.dtype(dtype)
        self.shape = tuple(shape)
        self.start = start
        self._row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        self._descriptor = os.dup(file.fileno())
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def ndim(self):
        """The number of axes."""
        return len(self.shape)

    @property
    def nbytes(self):
        """Of all rows."""
        return self._row_bytes * len(self)

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, rows):
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, stop, _ = rows.indices(len(self))
            found = np.empty((max(0, stop - first), *self.shape[1:]), self.dtype)
            self._fill(_bytes(found), self.start + first * self._row_bytes)
            return found
        if isinstance(rows, int | np.integer):
            row = range(len(self))[rows]
            found = np.empty(self.shape[1:], self.dtype)
            self._fill(_bytes(found), self.start + row * self._row_bytes)
            return found
        chosen = np.asarray(rows if not isinstance(rows, slice) else range(len(self))[rows], int)
        if chosen.size and not -len(self) <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"{self.path} has {len(self)} rows, none of the number asked for")
        found = np.empty((*chosen.shape, *self.shape[1:]), self.dtype)
        buffer, size = _bytes(found), self._row_bytes
        for place, row in enumerate((chosen % max(1, len(self))).ravel().tolist()):
            self._fill(buffer[place * size : place * size + size], self.start + row * size)
        return found

    def _fill(self, buffer, place):
        """Read all bytes of a buffer from a place in the file."""
        while len(buffer):
            try:
                count = self._read_into(buffer, place)
            except OSError as error:
                raise InputError(f"{self.path} cannot be read: {error.strerror}") from error
            if not count:
                raise InputError(
                    f"{self.path} has become shorter while it was read, and ends in row "
                    f"{(place - self.start) // self._row_bytes} of {len(self)}: put the whole "
                    "file back"
                )
            buffer, place = buffer[count:], place + count

    def _read_into(self, buffer, place):
        if hasattr(os, "preadv"):
            return os.preadv(self._descriptor, [buffer], place)
        with self._lock:  # Windows has one place for all
            os.lseek(self._descriptor, place, os.SEEK_SET)
            content = os.read(self._descriptor, len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _bytes(array):
    return memoryview(array.reshape(-1).view(np.uint8))
