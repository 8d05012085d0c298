"""Stores of extracted codes (Algorithm 2, lines 1-7): memory-mapped arrays and their manifest.

A store is a folder with, for each split ("train", "held_out"), one uint16 array (N, size, size)
per level, `SPLIT-LEVEL.npy`, the CRC-32 of each of its maps, uint32 (N,), `SPLIT-LEVEL-crc.npy`,
and, where there are classes, int64 labels, `SPLIT-labels.npy`. `index.jsonl` has a line for each
row, which says of what image it is. `manifest.json` names the autoencoder that made them, has the
SHA-256 of all files but the codes themselves, and is written last: without it there is no store.

The codes of ImageNet are 13 GB, which nobody wants to read before a training begins. So it is each
map that has a checksum, written with it and looked at whenever it is read: what a prior learns from
is what was written. Small stores are verified as a whole when they are opened.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np

from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import atomic_write
from vqv2.progress import progress_bar
from vqv2.reading import json_lines, map_array, open_array, read_json, reading
from vqv2.reading.file import shown
from vqv2.reading.schema import Each, Many, Maybe, Table, Text, Whole

FORMAT = "vqv2 codes 2"
VERIFIED_AT_ONCE = 2**28  # bytes of codes that `open_codes` reads to verify them: a second or less
INDEX = "index.jsonl"  # which image each row is
BEGUN = "begun.json"  # in a store that is not complete: what it will be a store of
_CODES, _CHECKSUMS, _LABELS = np.uint16, np.uint32, np.int64
_MAPS_AT_ONCE = 4096
_REMEDY = "extract the codes again with `vqv2 encode`"
_SETTINGS = Table({"settings": Each(Whole(0, None))})
_COUNT = Whole(1, 2**40)
_MANIFEST = Table(
    {
        "autoencoder": Text(),
        "levels": Many(Text()),
        "sizes": Many(Whole(1, 2**16)),
        "counts": Table({"train": _COUNT}, maybe={"held_out": _COUNT}),
        "class_names": Many(Text()),
        "source": Text(),
        "checksums": Each(Text()),
        "checksum": Text(),
        **_SETTINGS.fields,
    },
    maybe={"source_identity": Maybe(Text())},
)


class CodeStore:
    """An opened store.

    levels       names, coarse to fine
    counts       {split: number of images}
    class_names  names of the classes, may be empty
    identity     identity of the autoencoder that made the codes
    checksum     what tells these codes from others, also of the same autoencoder
    """

    def __init__(self, folder, manifest):
        self.folder = Path(folder)
        self.manifest = manifest
        self.levels = tuple(manifest["levels"])
        self.counts = dict(manifest["counts"])
        self.class_names = tuple(manifest["class_names"])
        self.identity = manifest["autoencoder"]
        self.checksum = manifest["checksum"]

        self._arrays = {}

    @property
    def bytes(self):
        """Of all codes."""
        areas = sum(size * size for size in self.manifest["sizes"])
        return sum(self.counts.values()) * areas * np.dtype(_CODES).itemsize

    def codes(self, split, level):
        """The codes of one level, `ArrayFile` (N, size, size) uint16, not verified."""
        return self._array(f"{split}-{level}")

    def read(self, split, level, indices):
        """A copy of some maps, (n, size, size) uint16, each of them verified.

        `indices` is a slice or integers (n,). Raises `InputError` for a damaged map, naming it.
        """
        maps = np.ascontiguousarray(self.codes(split, level)[indices])
        expected = self._array(f"{split}-{level}-crc")[indices]
        for place, (one, checksum) in enumerate(zip(maps, expected.tolist(), strict=True)):
            if zlib.crc32(one) != checksum:
                number = np.arange(self.counts[split])[indices][place]
                path = self.folder / f"{split}-{level}.npy"
                raise DamagedError(f"{path} is damaged in map {number}: {_REMEDY}")
        return maps

    def labels(self, split):
        """Classes (N,) int64, or None."""
        return self._array(f"{split}-labels")[:] if self.class_names else None

    def rows(self):
        """Yield {"split", "row", "copy", "image"} of every map, as the index has them, in order.

        An image's name says where it is in the data: a path below the folder, a place in an array.
        """
        return json_lines(self.folder / INDEX, _REMEDY)

    def verify(self, progress=False):
        """Read everything. Raise `InputError` when a file's contents are not what was written."""
        self._verify_files()
        maps = sum(self.counts.values()) * len(self.levels)
        with progress_bar(maps, "verify", "map", progress) as bar:
            for split, count in self.counts.items():
                for level in self.levels:
                    for start in range(0, count, _MAPS_AT_ONCE):
                        stop = min(start + _MAPS_AT_ONCE, count)
                        self.read(split, level, slice(start, stop))
                        bar.update(stop - start)

    def _verify_files(self):
        """Verify all files but the codes: checksums of maps, labels, and the index."""
        for name, expected in self.manifest["checksums"].items():
            if Path(name).name != name or _file_checksum(self.folder / name) != expected:
                raise DamagedError(f"{self.folder / name} is damaged: {_REMEDY}")

    def _check_shapes(self):
        for split, count in self.counts.items():
            for level, size in zip(self.levels, self.manifest["sizes"], strict=True):
                self._check(f"{split}-{level}", _CODES, (count, size, size))
                self._check(f"{split}-{level}-crc", _CHECKSUMS, (count,))
            if self.class_names:
                self._check(f"{split}-labels", _LABELS, (count,))

    def _check(self, name, dtype, shape):
        array = self._array(name)
        if (array.dtype, array.shape) != (dtype, shape):
            raise DamagedError(
                f"{self.folder / name}.npy is damaged, it holds {array.dtype} {array.shape}: "
                f"{_REMEDY}"
            )

    def _array(self, name):
        if name not in self._arrays:
            self._arrays[name] = open_array(self.folder / f"{name}.npy", _REMEDY)
        return self._arrays[name]


def open_codes(folder, identity=None):
    """The `CodeStore` in `folder`, of the autoencoder with this `identity` (None: any).

    The codes are verified now where they are few (`VERIFIED_AT_ONCE`), else as they are read; all
    other files are verified now. Raises `InputError` when there is no store, when it is damaged or
    another autoencoder's.
    """
    store = _open_manifest(folder, identity)
    store._check_shapes()
    if store.bytes <= VERIFIED_AT_ONCE:
        store.verify()
    else:
        store._verify_files()
    return store


def training_classes(folder, identity):
    """Numbers of the classes of which a store has codes to train on, ascending; reads no codes.

    None without classes, and where there is no such store of this autoencoder, or a damaged one.
    """
    try:
        store = _open_manifest(folder, identity)
        store._check_shapes()
        store._verify_files()
        labels = store.labels("train")
    except InputError:
        return None
    return None if labels is None else np.unique(labels)


def _open_manifest(folder, identity):
    path = Path(folder) / "manifest.json"
    try:
        manifest = read_json(path, _REMEDY, Table({"format": Text()}))
    except MissingError:
        raise MissingError(f"there are no codes in {folder}: run `vqv2 encode` first") from None
    if manifest["format"] == "vqv2 codes 1":
        raise InputError(f"{folder} holds codes of an earlier version: {_REMEDY}")
    if manifest["format"] != FORMAT:
        raise DamagedError(f"{path} is not a manifest of codes: {_REMEDY}")
    try:
        _MANIFEST.check(manifest)
        _check_names(manifest)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged ({error}): {_REMEDY}") from None
    if _seal(manifest) != manifest["checksum"]:
        raise DamagedError(f"{path} is damaged: {_REMEDY}")
    store = CodeStore(folder, manifest)
    if identity is not None and store.identity != identity:
        raise InputError(
            f"the codes in {folder} were made by another autoencoder ({store.identity[:12]}, not "
            f"{identity[:12]}): run `vqv2 encode` again"
        )
    return store


def _check_names(manifest):
    """Raise `ValueError` unless the names in a manifest can be parts of names of files."""
    if len(manifest["levels"]) != len(manifest["sizes"]):
        raise ValueError("it has not one size for each level")
    for name in (*manifest["levels"], *manifest["counts"]):
        if Path(name).name != name:
            raise ValueError(f"{shown(name)} is no name of a level or a split")


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
    given, folder, complete = folder, _real(folder), False
    partial, former = _partial(folder), _former(folder)
    try:
        _check_place(folder, given)
        if former.exists() and not folder.exists():  # ended between the two renames below
            former.rename(folder)
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
        arrays = _arrays(partial, manifest, settings is not None)
        yield arrays
        for array in [array for split in arrays.values() for array in split.values()]:
            array.flush()
        _write_index(partial / INDEX, rows)
        files = _small_files(partial, counts, levels)
        manifest["checksums"] = {path.name: _file_checksum(path) for path in files}
        manifest["checksum"] = _seal(manifest)
        _write_json(partial / "manifest.json", manifest)
        complete = True
        _take_place(partial, folder, former)
        (folder / BEGUN).unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or f"the disk may be full ({error})"  # NumPy gives no strerror
        there = f"; they are complete in {partial}, and the same command goes on from there"
        raise InputError(
            f"cannot write codes to {folder}: {reason}{there if complete else ''}"
        ) from None
    finally:
        if not complete and not (partial / BEGUN).exists():  # nothing that could be gone on with
            _remove(partial)


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


def has_partial(folder):
    """Whether a store at `folder` has been begun that is not complete."""
    return _partial(folder).exists()


def has_former(folder):
    """Whether a former store is there that comes back when the one at `folder` is written."""
    return _former(folder).exists()


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
        begun = read_json(partial / BEGUN, _REMEDY)
    except InputError:
        return False
    return has_source(begun, manifest["source"], manifest["source_identity"]) and (
        {**begun, **_source(manifest)} == manifest
    )


def has_source(manifest, name, identity):
    """Whether a store with this manifest has codes of the images with this name and identity.

    What they are called decides only where an earlier version has not written their identity.
    """
    known = manifest.get("source_identity")
    return known == identity if known else manifest.get("source") == name


def _source(manifest):
    return {name: manifest[name] for name in ("source", "source_identity")}


def partial_settings(folder):
    """The `settings` of a store at `folder` that `write_codes` has begun to write; {} without."""
    return _settings(_partial(folder) / BEGUN)


def former_settings(folder):
    """The `settings` of the store at `folder`, also of a damaged one; {} where they are unknown."""
    return _settings(Path(folder) / "manifest.json")


def _settings(path):
    try:
        return read_json(path, _REMEDY, _SETTINGS)["settings"]
    except InputError:
        return {}


def _partial(folder):
    """Where a store is until it is complete."""
    return _beside(folder, ".partial")


def _former(folder):
    """Where the former store is while the new one takes its place."""
    return _beside(folder, ".former")


def _beside(folder, ending):
    real = _real(folder)
    return real.with_name(real.name + ending)


def _real(folder):
    """Where the files are: a user may have made the folder a link to another disk."""
    return Path(os.path.realpath(folder))


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


def _seal(manifest):
    """SHA-256 (hexadecimal) of a manifest without its checksum."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        written = np.ascontiguousarray(codes, dtype=_CODES)
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
            found = map_array(path, _REMEDY, "r+")
            if (found.dtype, found.shape) == (dtype, shape) and found.size:
                return found
        except (MissingError, DamagedError):
            pass
        return _create_array(path, dtype, shape)

    arrays = {
        level: _Maps(
            array(level, _CODES, (count, size, size)), array(f"{level}-crc", _CHECKSUMS, (count,))
        )
        for level, size in zip(manifest["levels"], manifest["sizes"], strict=True)
    }
    if manifest["class_names"]:
        arrays["labels"] = array("labels", _LABELS, (count,))
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


def _file_checksum(path):
    digest = hashlib.sha256()
    with reading(path, _REMEDY) as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()
