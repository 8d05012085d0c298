"""Writing a store of codes (`vqv2.data.codes`): beside its place until it is complete."""

import contextlib
import errno
import json
import os
import shutil
import zlib

import numpy as np

from vqv2.data.checksum import file_checksum, seal
from vqv2.data.codes import (
    BEGUN,
    CHECKSUMS,
    CODES,
    FORMAT,
    INDEX,
    LABELS,
    REMEDY,
    former_place,
    has_source,
    partial_place,
    real_place,
)
from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import atomic_write
from vqv2.reading import map_array, read_json


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
    rows=(),
):
    """Context manager for writing a store: yields {split: {level or "labels": what to fill}}.

    What is to be filled takes `[start:stop] = ...`; every map has to be written. The store is
    written beside `folder` and takes its place only when the block ends without an exception; a
    former store is intact until then. Raises `InputError` when it cannot be written.

    With `settings`, {name: value} of whatever else decides the codes, writing goes on where it was
    ended, even by `kill -9`: `written(slice)` of what is to be filled says what is there already.
    `source` is what the images are called, `source_identity` tells them from others.

    A `folder` that is a link is followed, also to a folder that is not there yet. A finished store
    that cannot take its place is kept beside it. `rows` yields {"split", "row", ...} of each image
    in turn, for the store's index.
    """
    given, folder, complete = folder, real_place(folder), False
    partial, former = partial_place(folder), former_place(folder)
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
    try:
        with _writing(folder):
            _check_place(folder, given)
            if former.exists() and not folder.exists():  # ended between the two renames below
                former.rename(folder)
            arrays = _arrays(partial, manifest, settings is not None)
        yield arrays  # all of whose bytes have their place: what fails here is something else
        with _writing(folder):
            for array in [array for split in arrays.values() for array in split.values()]:
                array.flush()
            _write_index(partial / INDEX, rows)
            files = _small_files(partial, counts, levels)
            manifest["checksums"] = {path.name: file_checksum(path, REMEDY) for path in files}
            manifest["checksum"] = seal(manifest)
            _write_json(partial / "manifest.json", manifest)
        complete = True
        there = f"; they are complete in {partial}, and the same command goes on from there"
        with _writing(folder, there):
            _take_place(partial, folder, former)
            (folder / BEGUN).unlink(missing_ok=True)
    finally:
        if not complete and not (partial / BEGUN).exists():  # nothing that could be gone on with
            _remove(partial)


@contextlib.contextmanager
def _writing(folder, remedy=""):
    """Inside, an error of the operating system means that codes cannot be written to `folder`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or f"the disk may be full ({error})"  # NumPy gives no strerror
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


def _arrays(partial, manifest, may_go_on):
    """{split: {level or "labels": what to fill}}, in files of a former attempt where it fits."""
    if not (may_go_on and _has_begun(partial, manifest)):
        _remove(partial)
        partial.mkdir(parents=True)
    arrays = {
        split: _open_or_create(partial, split, count, manifest)
        for split, count in manifest["counts"].items()
    }
    if may_go_on:
        _write_json(partial / BEGUN, manifest)
    return arrays


def _has_begun(partial, manifest):
    """Whether all the files of this store are there, of which some codes may be missing."""
    try:
        begun = read_json(partial / BEGUN, REMEDY)
    except InputError:
        return False
    return has_source(begun, manifest["source"], manifest["source_identity"]) and (
        {**begun, **_source(manifest)} == manifest
    )


def _source(manifest):
    return {name: manifest[name] for name in ("source", "source_identity")}


def _write_json(path, content):
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def _take_place(partial, folder, former):
    """Put the finished folder where the former one was, which goes last, or comes back."""
    _remove(former)
    if folder.exists():
        folder.rename(former)
    try:
        partial.rename(folder)
    except OSError:
        if former.exists():
            former.rename(folder)
        raise
    _remove(former)


def _remove(path):
    """Remove a folder with all that is in it; of a link only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _small_files(folder, counts, levels):
    """All files but the manifest and the codes."""
    codes = {f"{split}-{level}.npy" for split in counts for level in levels}
    arrays = [path for path in sorted(folder.glob("*.npy")) if path.name not in codes]
    return [*arrays, folder / INDEX]


def _write_index(path, rows):
    with atomic_write(path) as temporary, open(temporary, "w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


class _Maps:
    """Maps of codes to be filled, with their checksums."""

    def __init__(self, codes, checksums):
        self._codes = codes
        self._checksums = checksums

    def __setitem__(self, rows, codes):
        """Write the maps of a slice, from integers (n, size, size)."""
        written = np.ascontiguousarray(codes, dtype=CODES)
        self._codes[rows] = written
        self._checksums[rows] = [zlib.crc32(one) for one in written]

    def written(self, rows):
        """Whether all maps of a slice have been written, completely."""
        maps = np.ascontiguousarray(self._codes[rows])
        checksums = self._checksums[rows].tolist()  # 0 where nothing was written, and not of zeros
        return all(zlib.crc32(one) == c for one, c in zip(maps, checksums, strict=True))

    def flush(self):
        self._codes.flush()
        self._checksums.flush()


def _open_or_create(folder, split, count, manifest):
    def array(name, dtype, shape):
        path = folder / f"{split}-{name}.npy"
        try:
            found = map_array(path, REMEDY, "r+")
            if (found.dtype, found.shape) == (dtype, shape) and found.size:
                return found
        except (MissingError, DamagedError):
            pass
        return _create_array(path, dtype, shape)

    arrays = {
        level: _Maps(
            array(level, CODES, (count, size, size)), array(f"{level}-crc", CHECKSUMS, (count,))
        )
        for level, size in zip(manifest["levels"], manifest["sizes"], strict=True)
    }
    if manifest["class_names"]:
        arrays["labels"] = array("labels", LABELS, (count,))
    return arrays


def _create_array(path, dtype, shape):
    """A writable memory-mapped .npy file whose bytes are really on the disk.

    A mapped file that is only as long as promised ends the program when the disk is full; asking
    for its place first makes that an ordinary error.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    _reserve(path, array.offset, array.nbytes)
    return array


def _reserve(path, start, length):
    """Have the file system give a file its place, without writing to it where it can do that."""
    if not length:
        return
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), start, length)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", errno.EOPNOTSUPP) != errno.EOPNOTSUPP:
                raise
            _write_zeros(file, start, length)


def _write_zeros(file, start, length):
    file.seek(start)
    zeros = bytes(2**20)
    for written in range(0, length, len(zeros)):
        file.write(zeros[: length - written])
