"""Rows of an array in a file, read when they are asked for.

A mapped file that is cut while it is read ends the program without a word (SIGBUS). Here that is an
error which names the file; so is a disk that fails. There is no place in the file that threads, or
processes that were forked, could move for each other.
"""

import os
import threading
import weakref

import numpy as np

from vqv2.errors import InputError


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
