"""One shard of a pack (`vqv2.data.pack`): many pictures' pixels, and a table of where each is.

`shard-00000.npy` has the pixels, uint8 (bytes,), of one picture after the other.
`table-00000.npy`, int64 (rows, 2, 5), says of each row where its pixels begin, their height, width
and channels, and their CRC-32: first as they are cropped at the centre, then as they are cropped
at random, which are the same pixels where `vqv2.data.crop.resized` says so. A row of zeros is that
of an image which is damaged inside.
"""

import zlib
from pathlib import Path

import numpy as np

from vqv2.errors import DamagedError
from vqv2.files import atomic_write, open_array, reading
from vqv2.files.opening import file_checksum

REMEDY = "remove it, and give the command `vqv2 data pack` again, which writes what is missing"
CENTRE, RANDOM = RENDITIONS = 0, 1
_FIELDS = 5
_LARGEST = 2**20  # pixels on a side


def shard_files(folder, number):
    """(path of the pixels, path of the table) of shard `number`."""
    names = (f"{name}-{number:05}.npy" for name in ("shard", "table"))
    return tuple(Path(folder) / name for name in names)


class Shard:
    """A shard that was written, opened for reading.

    `entry` is what `write_shard` returned, `size` that of the images. Raises `InputError`, with the
    file's name, where one is missing, too short, or not the one that was written; the pixels are
    verified as they are read.
    """

    def __init__(self, folder, number, entry, size):
        self.path, table = shard_files(folder, number)
        if file_checksum(table, REMEDY) != entry["checksum"]:
            raise DamagedError(f"{table} is damaged: {REMEDY}")
        self._pixels = open_array(self.path, REMEDY)
        self.table = open_array(table, REMEDY)[:]
        with reading(table, REMEDY):
            _check(self.table, (entry["rows"], len(RENDITIONS), _FIELDS), size, self._pixels)

    def picture(self, row, rendition):
        """Pixels, uint8 (H, W, 1 or 3), both sides at least the images' size.

        Raises `DamagedError` where they are not what was written.
        """
        start, height, width, channels, checksum = self.table[row, rendition].tolist()
        pixels = self._pixels[start : start + height * width * channels]
        if zlib.crc32(pixels) != checksum or not height:
            raise DamagedError(f"{self.path} is damaged in picture {row}: {REMEDY}")
        return pixels.reshape(height, width, channels)

    def verify(self, update):
        """Read all pictures; raises as `picture`. `update` is called after each row."""
        for row, (centre, random) in enumerate(self.table):
            if centre.any():  # else it is damaged
                self.picture(row, CENTRE)
            if not np.array_equal(centre, random):
                self.picture(row, RANDOM)
            update()


def _check(table, shape, size, pixels):
    """Raise `ValueError` unless all that a table says can be read from the pixels."""
    if (table.dtype, table.shape) != (np.int64, shape) or pixels.dtype != np.uint8:
        raise ValueError(f"it holds {table.dtype} {table.shape}, not int64 {shape}")
    start, height, width, channels, _ = table[table.any(axis=2)].T
    good = (size <= height) & (height <= _LARGEST) & (size <= width) & (width <= _LARGEST)
    good &= ((channels == 1) | (channels == 3)) & (start >= 0)
    if not (good & (start + height * width * channels <= pixels.nbytes)).all():
        raise ValueError("it names pictures that are not there")


def write_shard(folder, number, pictures, is_full):
    """Write one shard, pixels first; its entry {"rows", "bytes", "checksum"}.

    `pictures` is an iterator over [pixels (H, W, channels), or fewer for the same ones again, for
    each rendition] of each row, none for one that is damaged. Of these, rows are taken until
    `is_full(rows, bytes)` or there are no more. Raises `InputError` when it cannot be written.
    """
    shard, table = shard_files(folder, number)
    rows = []
    with atomic_write(shard) as temporary, open(temporary, "wb") as file:
        start = _write_header(file, 0)
        for renditions in pictures:
            rows.append(_written(file, start, renditions))
            if is_full(len(rows), file.tell() - start):
                break
        length = file.tell()
        file.seek(0)
        _write_header(file, length - start)
    with atomic_write(table) as temporary, open(temporary, "wb") as file:
        np.save(file, np.array(rows, np.int64))
    return {"rows": len(rows), "bytes": length, "checksum": file_checksum(table, REMEDY)}


def _write_header(file, count):
    """Write a .npy header, which NumPy makes as long for any count; where the numbers begin."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _written(file, start, renditions):
    """The row of a table for pixels that are written to the open file."""
    row = []
    for pixels in renditions:
        row.append([file.tell() - start, *pixels.shape, zlib.crc32(pixels)])
        file.write(pixels)
    return row if len(row) == len(RENDITIONS) else (row or [[0] * _FIELDS]) * len(RENDITIONS)
