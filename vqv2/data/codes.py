"""Stores of extracted codes (Algorithm 2, lines 1-7): memory-mapped arrays and their manifest.

A store is a folder with, for each split ("train", "held_out"), one uint16 array (N, size, size)
per level, `SPLIT-LEVEL.npy`, and, where there are classes, int64 labels, `SPLIT-labels.npy`.
`manifest.json` names the autoencoder that made them and is written last: without it there is no
store.
"""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from vqv2.errors import InputError
from vqv2.files import atomic_write

FORMAT = "vqv2 codes 1"


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

    def codes(self, split, level):
        """The codes of one level, (N, size, size) uint16, mapped into memory."""
        return _open_array(self.folder / f"{split}-{level}.npy")

    def labels(self, split):
        """Classes (N,) int64, or None."""
        return _open_array(self.folder / f"{split}-labels.npy") if self.class_names else None

    def verify(self):
        """Raise `InputError` when a file's contents are not those that were written."""
        for name, expected in self.manifest["checksums"].items():
            if _file_checksum(self.folder / name) != expected:
                raise InputError(f"{self.folder / name} is damaged: extract the codes again")


def open_codes(folder, identity=None):
    """The `CodeStore` in `folder`, of the autoencoder with this `identity` (None: any).

    Raises `InputError` when there is none, when it is damaged or another autoencoder's.
    """
    path = Path(folder) / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"there are no codes in {folder}: run `vqv2 encode` first") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): extract the codes again") from None
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
    store.verify()
    return store


@contextlib.contextmanager
def write_codes(folder, levels, sizes, counts, class_names, identity, source):
    """Context manager for writing a store: yields {split: {level or "labels": array to fill}}.

    The store is written beside `folder` and takes its place only when the block ends without an
    exception; a former store is intact until then. Raises `InputError` when it cannot be written.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    former = folder.with_name(folder.name + ".former")
    try:
        if former.exists() and not folder.exists():  # ended between the two renames below
            former.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        arrays = {
            split: _create_arrays(partial, split, count, levels, sizes, class_names)
            for split, count in counts.items()
        }
        yield arrays
        for array in [array for split in arrays.values() for array in split.values()]:
            array.flush()
        manifest = {
            "format": FORMAT,
            "autoencoder": identity,
            "levels": list(levels),
            "sizes": list(sizes),
            "counts": counts,
            "class_names": list(class_names),
            "source": source,
            "checksums": {f.name: _file_checksum(f) for f in sorted(partial.glob("*.npy"))},
        }
        manifest["checksum"] = _seal(manifest)
        with atomic_write(partial / "manifest.json") as temporary:
            temporary.write_text(json.dumps(manifest, indent=1))
        _take_place(partial, folder, former)
    except OSError as error:
        reason = error.strerror or f"the disk may be full ({error})"  # NumPy gives no strerror
        raise InputError(f"cannot write codes to {folder}: {reason}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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


def _create_arrays(folder, split, count, levels, sizes, class_names):
    def create(name, dtype, shape):
        path = folder / f"{split}-{name}.npy"
        return _create_array(path, dtype, shape)

    arrays = {
        level: create(level, np.uint16, (count, size, size))
        for level, size in zip(levels, sizes, strict=True)
    }
    if class_names:
        arrays["labels"] = create("labels", np.int64, (count,))
    return arrays


def _create_array(path, dtype, shape):
    """A writable memory-mapped .npy file whose bytes are really on the disk.

    A mapped file that is only as long as promised ends the program when the disk is full; writing
    the zeros first makes that an ordinary error.
    """
    np.save(path, np.zeros(shape, dtype))
    return np.load(path, mmap_mode="r+")


def _open_array(path):
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
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
