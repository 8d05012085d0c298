"""Stores of extracted codes (Algorithm 2, lines 1-7): arrays of codes and their manifest.

A store is a folder with, for each split ("train", "held_out"), one uint16 array (N, size, size)
per level, `SPLIT-LEVEL.npy`, and, where there are classes, int64 labels, `SPLIT-labels.npy`.
`index.jsonl` has a line for each row, which says of what image it is. `manifest.json` names the
autoencoder that made them and has the SHA-256 of all files.

Small stores are verified as a whole whenever they are opened; of large ones, ImageNet's codes being
13 GB, everything but the codes. Who trains a prior on them, and `vqv2 data verify` and
`vqv2 doctor`, read all of them: a training takes days, and learns from what was written.
"""

import os
from pathlib import Path

import numpy as np

from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import check_json, json_lines, open_array, read_json, reading, shown
from vqv2.files.opening import file_checksum, seal
from vqv2.files.text import Each, Many, Maybe, Table, Text, Whole
from vqv2.terminal import progress_bar

FORMAT = "vqv2 codes 3"
VERIFIED_AT_ONCE = 2**28  # bytes of codes that `open_codes` reads to verify them: a second or less
INDEX, MANIFEST, PARTIAL = "index.jsonl", "manifest.json", ".partial"
CODES, LABELS = np.dtype(np.uint16), np.dtype(np.int64)
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
        "source_identity": Maybe(Text()),
        "digests": Each(Text()),
        "checksum": Text(),
        **_SETTINGS.fields,
    },
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
        return sum(self.counts.values()) * areas * CODES.itemsize

    def codes(self, split, level):
        """The codes of one level, `ArrayFile` (N, size, size) uint16."""
        return self._array(f"{split}-{level}.npy")

    def labels(self, split):
        """Classes (N,) int64, or None."""
        return self._array(f"{split}-labels.npy")[:] if self.class_names else None

    def rows(self):
        """Yield {"split", "row", "copy", "image"} of every map, as the index has them, in order.

        An image's name says where it is in the data: a path below the folder, a place in an array.
        """
        return json_lines(self.folder / INDEX, REMEDY)

    def verify(self, names=None):
        """Raise `InputError` when the contents of these files, or of all, are not as written."""
        names = list(self.manifest["digests"]) if names is None else names
        paths = [self.folder / name for name in names if Path(name).name == name]
        megabytes = sum(-(-path.stat().st_size // 10**6) for path in paths if path.exists())
        with progress_bar(megabytes, "verify", "MB", delay=2) as bar:
            for name in names:
                path, expected = self.folder / name, self.manifest["digests"][name]
                if Path(name).name != name or file_checksum(path, REMEDY, bar.update) != expected:
                    raise DamagedError(f"{path} is damaged: {REMEDY}")

    def check_shapes(self):
        """Raise `InputError` unless the arrays have the shapes that the manifest says."""
        for name, dtype, shape in arrays_of(self.manifest):
            array = self._array(name)
            if (array.dtype, array.shape) != (dtype, shape):
                raise DamagedError(
                    f"{self.folder / name} is damaged, it holds {array.dtype} {array.shape}: "
                    f"{REMEDY}"
                )

    def _array(self, name):
        if name not in self._arrays:
            self._arrays[name] = open_array(self.folder / name, REMEDY)
        return self._arrays[name]


def arrays_of(manifest):
    """(name, dtype, shape) of the arrays in a store with this manifest."""
    levels = list(zip(manifest["levels"], manifest["sizes"], strict=True))
    for split, count in manifest["counts"].items():
        for level, size in levels:
            yield f"{split}-{level}.npy", CODES, (count, size, size)
        if manifest["class_names"]:
            yield f"{split}-labels.npy", LABELS, (count,)


def open_codes(folder, identity=None, everything=False):
    """The `CodeStore` in `folder`, of the autoencoder with this `identity` (None: any).

    The codes are verified now where they are few (`VERIFIED_AT_ONCE`), or with `everything`; all
    other files are anyway.
    Raises `InputError` when there is no store, when it is damaged or another autoencoder's.
    """
    store = read_manifest(folder, identity)
    store.check_shapes()
    others = {name for name, dtype, _ in arrays_of(store.manifest) if dtype != CODES} | {INDEX}
    store.verify(None if everything or store.bytes <= VERIFIED_AT_ONCE else sorted(others))
    return store


def read_manifest(folder, identity=None):
    """The `CodeStore` in `folder`, its manifest verified and nothing else; as `open_codes`."""
    path = Path(folder) / MANIFEST
    try:
        manifest = read_json(path, REMEDY)
    except MissingError:
        raise MissingError(f"there are no codes in {folder}: run `vqv2 encode` first") from None
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
    names = {INDEX, *(name for name, _, _ in arrays_of(manifest))}
    if missing := names - manifest["digests"].keys():
        raise ValueError(f"it has no digest of {sorted(missing)[0]}")


def extraction_settings(copies, seed):
    """What decides codes besides the autoencoder and the images."""
    return {"copies": copies, "seed": seed if copies > 1 else 0}


def settings_of(folder):
    """The `settings` of a store, also of a damaged or an unfinished one; {} where not known."""
    try:
        return read_json(Path(folder) / MANIFEST, REMEDY, _SETTINGS)["settings"]
    except InputError:
        return {}


def partial_place(folder):
    """Where a store is until it is complete."""
    real = real_place(folder)
    return real.with_name(real.name + PARTIAL)


def real_place(folder):
    """Where the files are: a user may have made the folder a link to another disk."""
    return Path(os.path.realpath(folder))
