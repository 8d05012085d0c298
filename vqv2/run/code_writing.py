"""Writing a store of codes (`vqv2.run.codes`): beside its place until it is complete.

In FOLDER.partial its arrays grow image after image, and their length says how far they are. Where
that was ended, even by `kill -9`, writing goes on.
"""

import contextlib
import io
import json
import os
import shutil

import numpy as np

from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import atomic_write, make_folder, read_json, reading, write_json
from vqv2.files.opening import file_checksum, seal
from vqv2.run.codes import (
    CODES,
    FORMAT,
    INDEX,
    LABELS,
    MANIFEST,
    REMEDY,
    arrays_of,
    partial_place,
    real_place,
)


@contextlib.contextmanager
def write_codes(
    folder,
    levels,
    sizes,
    counts,
    class_names,
    identity,
    source,
    settings=None,
    source_identity=None,
    labels=None,
    rows=(),
):
    """Context manager for writing a store: yields the `CodeWriter` that takes all of its maps.

    The store takes the place of `folder` only when the block ends without an exception; a former
    store is intact until then. Where an attempt with the same arguments was ended, writing goes on.
    Raises `InputError` when it cannot be written.

    `settings` {name: whole number} are whatever else decides the codes. `source` is what the images
    are called, `source_identity` tells them from others. `labels` {split: (N,)} are their classes.
    `rows` yields {"split", "row", ...} of each image in turn, for the store's index.

    A `folder` that is a link is followed, also to a folder that is not there yet. A finished store
    that cannot take its place is kept beside it.
    """
    place, partial = real_place(folder), partial_place(folder)
    manifest = {
        "format": FORMAT,
        "autoencoder": identity,
        "levels": list(levels),
        "sizes": list(sizes),
        "counts": counts,
        "class_names": list(class_names),
        "source": source,
        "source_identity": source_identity,
        "settings": settings or {},
    }
    with contextlib.ExitStack() as files:
        with _writing(place):
            _check_place(place, folder)
            if not _has_begun(partial, manifest):
                _remove(partial)
            make_folder(partial)
            write_json(partial / MANIFEST, manifest)
            writer = CodeWriter(partial, manifest, files)
        yield writer
        with _writing(place):
            writer.finish(labels or {}, rows)
    there = f"; they are complete in {partial}, and the same command goes on from there"
    with _writing(place, there):
        _take_place(partial, place)


class CodeWriter:
    """The growing arrays of a store in `folder`; an `ExitStack` closes the `files`."""

    def __init__(self, folder, manifest, files):
        self._folder = folder
        self._manifest = manifest
        self._maps = {
            name: files.enter_context(_Maps(folder / name, shape))
            for name, dtype, shape in arrays_of(manifest)
            if dtype == CODES
        }
        missing = sum(maps.missing for maps in self._maps.values())
        if missing > (free := shutil.disk_usage(folder).free):
            raise OSError(
                f"they take {missing / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free: make room"
            )

    def written(self, split):
        """How many images of a split have all their codes here, from the first one on."""
        return min(maps.written for maps in self._of(split).values())

    def write(self, split, start, codes):
        """Write {level: maps (n, size, size)} of the images from `start` on; those before are here.

        Raises `InputError` when the disk does not take them.
        """
        with _writing(self._folder):
            for level, maps in self._of(split).items():
                maps.write(start, codes[level])

    def finish(self, labels, rows):
        """Write what else a store has, the manifest last. All maps have to be here."""
        for split, count in self._manifest["counts"].items():
            if self.written(split) != count:
                raise ValueError(f"{self.written(split)} of {count} images of {split} have codes")
        for maps in self._maps.values():
            maps.flush()
        for split, classes in labels.items():
            with (
                atomic_write(self._folder / f"{split}-labels.npy") as path,
                open(path, "wb") as file,
            ):
                np.save(file, np.asarray(classes, LABELS))
        with atomic_write(self._folder / INDEX) as path, open(path, "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        names = [*(name for name, _, _ in arrays_of(self._manifest)), INDEX]
        digests = {name: file_checksum(self._folder / name, REMEDY) for name in names}
        manifest = {**self._manifest, "digests": digests}
        write_json(self._folder / MANIFEST, {**manifest, "checksum": seal(manifest)})

    def _of(self, split):
        return {level: self._maps[f"{split}-{level}.npy"] for level in self._manifest["levels"]}


class _Maps:
    """A .npy file of codes (N, size, size) that grows; a context manager that closes it.

    An ordinary file rather than a mapped one, which ends the program when the disk is full.
    """

    def __init__(self, path, shape):
        header = _header(CODES, shape)
        self._start, self._bytes = len(header), CODES.itemsize * shape[1] * shape[2]
        self._end = self._start + self._bytes * shape[0]
        begun = _begins_with(path, header) and path.stat().st_size <= self._end
        self._file = open(path, "r+b" if begun else "w+b", buffering=0)  # noqa: SIM115
        if not begun:
            self._file.write(header)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    @property
    def written(self):
        """How many maps are here, completely."""
        return (self._length - self._start) // self._bytes

    @property
    def missing(self):
        """Bytes that are not here yet."""
        return self._end - self._length

    def write(self, start, maps):
        """Write integers (n, size, size) from map `start` on."""
        if start > self.written:
            raise ValueError(f"map {start} would leave a gap after {self.written}")
        self._file.seek(self._start + start * self._bytes)
        left = memoryview(np.ascontiguousarray(maps, CODES).reshape(-1).view(np.uint8))
        while left:
            left = left[self._file.write(left) :]

    def flush(self):
        """Have everything on the disk."""
        os.fsync(self._file.fileno())

    @property
    def _length(self):
        return os.fstat(self._file.fileno()).st_size


def _header(dtype, shape):
    """The bytes before the numbers in a .npy file."""
    buffer = io.BytesIO()
    fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


def _begins_with(path, header):
    try:
        with reading(path, REMEDY) as file:
            return file.read(len(header)) == header
    except (MissingError, DamagedError):
        return False


def _has_begun(partial, manifest):
    """Whether `partial` is what an attempt to write this store has left."""
    try:
        begun = read_json(partial / MANIFEST, REMEDY)
    except InputError:
        return False
    # The images may have another name now.
    return all(begun.get(name) == manifest[name] for name in manifest if name != "source")


@contextlib.contextmanager
def _writing(folder, remedy=""):
    """Inside, an error of the operating system means that codes cannot be written to `folder`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write codes to {folder}: {reason}{remedy}") from None


def _check_place(folder, given):
    """Raise `InputError` where a finished store could not take the place of what is there."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{folder} is no folder, where that of codes should be: move it away")
    if os.path.islink(given) and not folder.parent.is_dir():
        raise InputError(f"{given} links to {folder}, but there is no {folder.parent}: make it")
    if os.path.ismount(folder):
        raise InputError(
            f"{given} is where a disk is mounted, which cannot be replaced: make it a link to a "
            "folder on that disk"
        )


def _take_place(partial, folder):
    """Put the finished folder where a former one was, which goes."""
    _remove(folder)
    partial.rename(folder)


def _remove(path):
    """Remove a folder with all that is in it; of a link only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
