"""Stores of extracted codes (Algorithm 2, lines 1-7): memory-mapped arrays and their manifest.

A store is a folder with, for each split ("train", "held_out"), one uint16 array (N, size, size)
per level, `SPLIT-LEVEL.npy`, the CRC-32 of each of its maps, uint32 (N,), `SPLIT-LEVEL-crc.npy`,
and, where there are classes, int64 labels, `SPLIT-labels.npy`. `manifest.json` names the
autoencoder that made them, has the SHA-256 of all files but the codes themselves, and is written
last: without it there is no store.

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

from vqv2.errors import InputError
from vqv2.files import atomic_write
from vqv2.progress import progress_bar

FORMAT = "vqv2 codes 2"
VERIFIED_AT_ONCE = 2**28  # bytes of codes that `open_codes` reads to verify them: a second or less
BEGUN = "begun.json"  # in a store that is not complete: what it will be a store of
_CODES = np.uint16
_MAPS_AT_ONCE = 4096


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
        """The codes of one level, (N, size, size) uint16, mapped into memory and not verified."""
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
                raise InputError(f"{path} is damaged in map {number}: extract the codes again")
        return maps

    def labels(self, split):
        """Classes (N,) int64, or None."""
        return self._array(f"{split}-labels") if self.class_names else None

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
        """Verify all files but the codes: checksums of maps, and labels."""
        for name, expected in self.manifest["checksums"].items():
            if _file_checksum(self.folder / name) != expected:
                raise InputError(f"{self.folder / name} is damaged: extract the codes again")

    def _check_shapes(self):
        for split, count in self.counts.items():
            for level, size in zip(self.levels, self.manifest["sizes"], strict=True):
                array = self.codes(split, level)
                if array.shape != (count, size, size) or array.dtype != _CODES:
                    path = self.folder / f"{split}-{level}.npy"
                    raise InputError(
                        f"{path} is damaged, it holds {array.dtype} {array.shape}: extract the "
                        "codes again"
                    )

    def _array(self, name):
        if name not in self._arrays:
            self._arrays[name] = _open_array(self.folder / f"{name}.npy")
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
        store._verify_files()
        labels = store.labels("train")
    except InputError:
        return None
    return None if labels is None else np.unique(labels)


def _open_manifest(folder, identity):
    path = Path(folder) / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"there are no codes in {folder}: run `vqv2 encode` first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): extract the codes again") from None
    if isinstance(manifest, dict) and manifest.get("format") == "vqv2 codes 1":
        raise InputError(f"{folder} holds codes of an earlier version: extract the codes again")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a manifest of codes: extract the codes again")
    if _seal(manifest) != manifest.get("checksum"):
        raise InputError(f"{path} is damaged: extract the codes again")
    store = CodeStore(folder, manifest)
    if identity is not None and store.identity != identity:
        raise InputError(
            f"the codes in {folder} were made by another autoencoder ({store.identity[:12]}, not "
            f"{identity[:12]}): run `vqv2 encode` again"
        )
    return store


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
):
    """Context manager for writing a store: yields {split: {level or "labels": what to fill}}.

    What is to be filled takes `[start:stop] = ...`; every map has to be written. The store is
    written beside `folder` and takes its place only when the block ends without an exception; a
    former store is intact until then. Raises `InputError` when it cannot be written.

    With `settings`, {name: value} of whatever else decides the codes, writing goes on where it was
    ended, even by `kill -9`: `written(slice)` of what is to be filled says what is there already.
    `source` is what the images are called, `source_identity` tells them from others.
    """
    folder = Path(folder)
    partial = _partial(folder)
    former = folder.with_name(folder.name + ".former")
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
            if former.exists() and not folder.exists():  # ended between the two renames below
                former.rename(folder)
            arrays = _arrays(partial, manifest, settings is not None)
        yield arrays  # all of whose bytes have their place: what fails here is something else
        with _writing(folder):
            for array in [array for split in arrays.values() for array in split.values()]:
                array.flush()
            files = _small_files(partial, counts, levels)
            manifest["checksums"] = {path.name: _file_checksum(path) for path in files}
            manifest["checksum"] = _seal(manifest)
            _write_json(partial / "manifest.json", manifest)
            (partial / BEGUN).unlink(missing_ok=True)
            _take_place(partial, folder, former)
    finally:
        if not (partial / BEGUN).exists():  # nothing that could be gone on with
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _writing(folder):
    """Inside, an error of the operating system means that codes cannot be written to `folder`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or f"the disk may be full ({error})"  # NumPy gives no strerror
        raise InputError(f"cannot write codes to {folder}: {reason}") from None


def _arrays(partial, manifest, may_go_on):
    """{split: {level or "labels": what to fill}}, in files of a former attempt where it fits."""
    if not (may_go_on and _has_begun(partial, manifest)):
        shutil.rmtree(partial, ignore_errors=True)
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
        begun = json.loads((partial / BEGUN).read_text())
        return has_source(begun, manifest["source"], manifest["source_identity"]) and (
            {**begun, **_source(manifest)} == manifest
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return False


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
        return dict(json.loads(path.read_text())["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _partial(folder):
    """Where a store is until it is complete."""
    return Path(folder).with_name(Path(folder).name + ".partial")


def _write_json(path, content):
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def _take_place(partial, folder, former):
    """Put the finished folder where the former one was, which goes last, or comes back."""
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    try:
        partial.rename(folder)
    except OSError:
        if former.exists():
            former.rename(folder)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _seal(manifest):
    """SHA-256 (hexadecimal) of a manifest without its checksum."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _small_files(folder, counts, levels):
    """All files but the manifest and the codes."""
    codes = {f"{split}-{level}.npy" for split in counts for level in levels}
    return [path for path in sorted(folder.glob("*.npy")) if path.name not in codes]


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
            found = np.load(path, mmap_mode="r+")
            if (found.dtype, found.shape) == (dtype, shape):
                return found
        except (OSError, ValueError, EOFError):  # it is missing, or damaged
            pass
        return _create_array(path, dtype, shape)

    arrays = {
        level: _Maps(
            array(level, _CODES, (count, size, size)), array(f"{level}-crc", np.uint32, (count,))
        )
        for level, size in zip(manifest["levels"], manifest["sizes"], strict=True)
    }
    if manifest["class_names"]:
        arrays["labels"] = array("labels", np.int64, (count,))
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


def _open_array(path):
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}): extract the codes again") from None


def _file_checksum(path):
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
