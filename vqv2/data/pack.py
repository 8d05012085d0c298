"""Packs: the pictures of a folder, decoded and resized once, to be read as fast as the disk is.

What is stored of a picture is what is left of it before it is cropped (`vqv2.data.crop.resized`):
the crop stays as random as it was, and a batch is the same, to the last bit, as one from the folder
itself. The pixels are those of 8 bits that training sees, whatever the files had; a picture that
training sees in grey takes a third of the space.

A pack is a folder with

    shard-00000.npy, table-00000.npy, ...   the pictures (`vqv2.data.shard`), in the order of paths
    labels.npy        int64 (N,), the class of each; only where there are classes
    held_out.npy      bool (N,), which are held out
    names.npy         uint8, all paths below the packed folder, one after the other
    name_ends.npy     int64 (N,), where each ends
    left_out.jsonl    a line for each file that could not be used: {"image": path, "reason": reason}
    vqv2-pack.json    what it is: the identities of the images, and the checksums of all these

The manifest is written before the first shard, and again after each: a shard that it does not name
is not there, and the pack is complete when it names all rows.
"""

import functools
import os
from pathlib import Path

import numpy as np

from vqv2.data.index import WORKERS_FROM
from vqv2.data.shard import CENTRE, REMEDY, Shard, shard_files
from vqv2.data.workers import Workers, automatic_count, check_count
from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import check_json, open_array, read_json
from vqv2.files.opening import file_checksum, seal
from vqv2.files.text import Each, Many, Table, Text, Truth, Whole
from vqv2.terminal import progress_bar

MANIFEST = "vqv2-pack.json"
FORMAT = "vqv2 pack 1"
_OPEN_AT_ONCE = 128  # shards: each takes a descriptor, and 80 bytes for each picture
_RESTORE = "restore it, or remove the whole folder and pack the images again"
_DAMAGED = Table({"row": Whole(), "reason": Text()})
_SHARD = Table({"rows": Whole(1), "bytes": Whole(), "checksum": Text(), "damaged": Many(_DAMAGED)})
_MANIFEST = Table(
    {
        "size": Whole(1, 2**16),
        "random_crop": Truth(),
        "source": Text(),
        "identities": Table({"train": Text(), "held_out": Text(), "all": Text()}),
        "count": Whole(1, 2**40),
        "class_names": Many(Text()),
        "remarks": Many(Text()),
        "checksums": Each(Text()),
        "shards": Many(_SHARD),
        "checksum": Text(),
    }
)


def is_pack(folder):
    """Whether `folder` is a pack, complete or not."""
    return os.path.lexists(Path(folder) / MANIFEST)


def read_manifest(folder):
    """The manifest of a pack, perhaps of one that is not complete. Raises `InputError`."""
    path = Path(folder) / MANIFEST
    try:
        manifest = read_json(path, _RESTORE)
    except MissingError:
        raise MissingError(f"{folder} is no pack: there is no {MANIFEST} in it") from None
    if manifest.get("format") != FORMAT:
        raise DamagedError(f"{path} is not the manifest of a pack that is known: {_RESTORE}")
    check_json(manifest, _MANIFEST, path, _RESTORE)
    if seal(manifest) != manifest["checksum"]:
        raise DamagedError(f"{path} is damaged: {_RESTORE}")
    return manifest


def packed_rows(manifest):
    """How many rows the shards have that a manifest names."""
    return sum(shard["rows"] for shard in manifest["shards"])


class Pack:
    """A complete pack, opened for reading, perhaps for several splits.

    folder    its path
    manifest  what it is, as in the file
    labels    int64 (N,), None without classes
    held_out  bool (N,)
    damaged   {row: why the image could not be decoded}
    workers   how many processes prepare its images, 0 for none; None: as `pool` decides

    Any number of processes may read one at the same time. Raises `InputError`, which names the
    file, when anything is missing, too short, or not what was written; the pixels themselves are
    verified as they are read.
    """

    def __init__(self, folder, workers=None):
        check_count(workers)
        self.folder = Path(folder)
        self.manifest = read_manifest(folder)
        self.workers = workers
        self._pool = None if workers == 0 else Workers(workers or automatic_count())
        entries = self.manifest["shards"]
        self._ends = np.cumsum([entry["rows"] for entry in entries])
        self._check_files()
        count = len(self)
        self.labels = self._read_labels() if self.manifest["class_names"] else None
        self.held_out = self._opened("held_out", bool, count)[:]
        self._name_ends = self._opened("name_ends", np.int64, count)
        self._names = self._opened("names", np.uint8, int(self._name_ends[-1]))
        self._shard = functools.lru_cache(_OPEN_AT_ONCE)(self._open_shard)
        starts = [0, *self._ends.tolist()]
        self.damaged = {
            start + one["row"]: one["reason"]
            for start, entry in zip(starts, entries, strict=False)
            for one in entry["damaged"]
        }

    def __len__(self):
        return self.manifest["count"]

    def pool(self, augmentation):
        """The `Workers` that prepare images with an augmentation; None: threads of this process.

        To send an image from one process to another takes as long as to read it: unless they are
        asked for, workers are for what recolours, which takes much longer.
        """
        automatic = augmentation.recolours and len(self) >= WORKERS_FROM
        return self._pool if self.workers is not None or automatic else None

    def name(self, row):
        """The path of an image below the folder that was packed."""
        start = int(self._name_ends[row - 1]) if row else 0
        return os.fsdecode(self._names[start : int(self._name_ends[row])].tobytes())

    def picture(self, row, rendition=CENTRE):
        """Pixels uint8 (H, W, 1 or 3), to be cropped; `vqv2.data.shard` says which there are."""
        number = int(np.searchsorted(self._ends, row, side="right"))
        first = self._ends[number] - self.manifest["shards"][number]["rows"]
        return self._shard(number).picture(row - first, rendition)

    @property
    def bytes(self):
        """Of all shards."""
        return sum(entry["bytes"] for entry in self.manifest["shards"])

    def verify(self):
        """Read all pictures. Raise `InputError` when they are not what was written."""
        with progress_bar(len(self), "verify", "image", delay=2) as bar:
            for number in range(len(self.manifest["shards"])):
                self._shard(number).verify(bar.update)

    def _open_shard(self, number):
        entry = self.manifest["shards"][number]
        return Shard(self.folder, number, entry, self.manifest["size"])

    def _check_files(self):
        """Verify the small files, and that the large ones are there and as long as they were."""
        have, count = packed_rows(self.manifest), len(self)
        if have != count:
            raise InputError(
                f"{self.folder} is not complete, it has {have} of {count} pictures: give the "
                "command `vqv2 data pack` again, which goes on"
            )
        for name, checksum in self.manifest["checksums"].items():
            if Path(name).name != name or file_checksum(self.folder / name, REMEDY) != checksum:
                raise DamagedError(f"{self.folder / name} is damaged: {REMEDY}")
        for number, entry in enumerate(self.manifest["shards"]):
            check_length(shard_files(self.folder, number)[0], entry["bytes"])

    def _read_labels(self):
        labels = self._opened("labels", np.int64, len(self))[:]
        if not 0 <= labels.min() <= labels.max() < len(self.manifest["class_names"]):
            raise DamagedError(f"{self.folder} has images of classes without a name: {_RESTORE}")
        return labels

    def _opened(self, name, dtype, length):
        """The array (length,) in a small file."""
        path = self.folder / f"{name}.npy"
        array = open_array(path, REMEDY)
        if (array.dtype, array.shape) != (dtype, (length,)):
            raise DamagedError(f"{path} is damaged, it holds {array.dtype} {array.shape}: {REMEDY}")
        return array


def check_length(path, length):
    """Raise `InputError` unless the file at `path` has so many bytes."""
    try:
        found = os.stat(path).st_size
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
        raise MissingError(f"{problem}; give the command `vqv2 data pack` again") from None
    if found != length:
        raise DamagedError(f"{path} has {found} bytes instead of {length}: {REMEDY}")
