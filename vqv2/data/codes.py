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

import os
import zlib
from pathlib import Path

import numpy as np

from vqv2.data.checksum import file_checksum, seal
from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.progress import progress_bar
from vqv2.reading import check_json, json_lines, open_array, read_json, reading
from vqv2.reading.file import shown
from vqv2.reading.schema import Each, Many, Maybe, Table, Text, Whole

FORMAT = "vqv2 codes 2"
VERIFIED_AT_ONCE = 2**28  # bytes of codes that `open_codes` reads to verify them: a second or less
INDEX = "index.jsonl"  # which image each row is
BEGUN = "begun.json"  # in a store that is not complete: what it will be a store of
CODES, CHECKSUMS, LABELS = np.uint16, np.uint32, np.int64
_MAPS_AT_ONCE = 4096
REMEDY = "extract the codes again with `vqv2 encode`"
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
        return sum(self.counts.values()) * areas * np.dtype(CODES).itemsize

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
                raise DamagedError(f"{path} is damaged in map {number}: {REMEDY}")
        return maps

    def labels(self, split):
        """Classes (N,) int64, or None."""
        return self._array(f"{split}-labels")[:] if self.class_names else None

    def rows(self):
        """Yield {"split", "row", "copy", "image"} of every map, as the index has them, in order.

        An image's name says where it is in the data: a path below the folder, a place in an array.
        """
        return json_lines(self.folder / INDEX, REMEDY)

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
            if Path(name).name != name or file_checksum(self.folder / name, REMEDY) != expected:
                raise DamagedError(f"{self.folder / name} is damaged: {REMEDY}")

    def _check_shapes(self):
        for split, count in self.counts.items():
            for level, size in zip(self.levels, self.manifest["sizes"], strict=True):
                self._check(f"{split}-{level}", CODES, (count, size, size))
                self._check(f"{split}-{level}-crc", CHECKSUMS, (count,))
            if self.class_names:
                self._check(f"{split}-labels", LABELS, (count,))

    def _check(self, name, dtype, shape):
        array = self._array(name)
        if (array.dtype, array.shape) != (dtype, shape):
            raise DamagedError(
                f"{self.folder / name}.npy is damaged, it holds {array.dtype} {array.shape}: "
                f"{REMEDY}"
            )

    def _array(self, name):
        if name not in self._arrays:
            self._arrays[name] = open_array(self.folder / f"{name}.npy", REMEDY)
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
        manifest = read_json(path, REMEDY)
    except MissingError:
        raise MissingError(f"there are no codes in {folder}: run `vqv2 encode` first") from None
    if manifest.get("format") == "vqv2 codes 1":
        raise InputError(f"{folder} holds codes of an earlier version: {REMEDY}")
    if manifest.get("format") != FORMAT:
        raise DamagedError(f"{path} is not a manifest of codes: {REMEDY}")
    check_json(manifest, _MANIFEST, path, REMEDY)
    with reading(path, REMEDY):
        _check_names(manifest)
    if seal(manifest) != manifest["checksum"]:
        raise DamagedError(f"{path} is damaged: {REMEDY}")
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


def has_source(manifest, name, identity):
    """Whether a store with this manifest has codes of the images with this name and identity.

    What they are called decides only where an earlier version has not written their identity.
    """
    known = manifest.get("source_identity")
    return known == identity if known else manifest.get("source") == name


def partial_settings(folder):
    """The `settings` of a store at `folder` that `write_codes` has begun to write; {} without."""
    return _settings(partial_place(folder) / BEGUN)


def former_settings(folder):
    """The `settings` of the store at `folder`, also of a damaged one; {} where they are unknown."""
    return _settings(Path(folder) / "manifest.json")


def _settings(path):
    try:
        return read_json(path, REMEDY, _SETTINGS)["settings"]
    except InputError:
        return {}


def partial_place(folder):
    """Where a store is until it is complete."""
    return _beside(folder, ".partial")


def former_place(folder):
    """Where the former store is while the new one takes its place."""
    return _beside(folder, ".former")


def _beside(folder, ending):
    real = real_place(folder)
    return real.with_name(real.name + ending)


def real_place(folder):
    """Where the files are: a user may have made the folder a link to another disk."""
    return Path(os.path.realpath(folder))
