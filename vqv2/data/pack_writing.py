"""Writing a pack (`vqv2.data.pack`) of a folder of images, a shard at a time."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np

from vqv2.data.crop import ROOM
from vqv2.data.decode import UnreadableImage
from vqv2.data.folder import FolderImages
from vqv2.data.load import resized_for_crops
from vqv2.data.pack import FORMAT, MANIFEST, check_length, is_pack, packed_rows, read_manifest
from vqv2.data.shard import REMEDY, shard_files, write_shard
from vqv2.data.split import SPLITS
from vqv2.data.unusable import commonest
from vqv2.errors import InputError
from vqv2.files import atomic_write, remove_partial, write_json
from vqv2.files.opening import file_checksum, seal
from vqv2.terminal import progress_bar

LEFT_OUT = "left_out.jsonl"
SHARD = 2**30  # bytes, after which a shard ends: what a kill costs, at most
_LOCK = ".lock"  # of whoever works in a folder


class Packing:
    """A pack to be written, or gone on with, in `folder`: `write` does it.

    tree         the `FolderTree` of the images
    size         height and width of what will be read, pixels
    random_crop  whether to keep, of each picture, what may be cropped at random; otherwise only
                 what is cropped at the centre
    sources      {split: `FolderImages`}, which decide on what is packed
    rows         places, among all images, of those that are still to be packed

    A shard that is named by the manifest is kept, unless it is not there any more; so nothing but
    the shard that was being written is lost when this is ended, even by `kill -9`. Only one process
    may write in a folder (`vqv2.run.lock`); others may read a pack that is mended. Raises
    `InputError`, and changes nothing, where `folder` holds something else, or a pack of other
    images, another size or another kind of crops.
    """

    def __init__(self, tree, folder, size, random_crop=True):
        self.folder = Path(folder)
        self.tree = tree
        self.sources = {split: FolderImages(tree, size, 3, split) for split in SPLITS}
        everything = self.sources["all"]
        self._manifest = {
            "format": FORMAT,
            "size": size,
            "random_crop": random_crop,
            "source": os.path.realpath(tree.folder),
            "identities": {split: source.identity for split, source in self.sources.items()},
            "count": len(everything),
            "class_names": list(everything.class_names),
            "remarks": [*everything.remarks, *_remark(everything.skipped)],
            "checksums": {},
        }
        shards = self._manifest["shards"] = self._shards_before(self._manifest)
        self._missing = [number for number in range(len(shards)) if not self._is_there(number)]
        self.rows = self._rows_to_do()

    def _rows_to_do(self):
        """Of the shards that are missing, and those beyond the last one."""
        ends = np.cumsum([0, *(entry["rows"] for entry in self._manifest["shards"])]).tolist()
        rows = [row for number in self._missing for row in range(*ends[number : number + 2])]
        return rows + list(range(ends[-1], self._manifest["count"]))

    def expected_bytes(self):
        """About how many bytes are to be written, were all pictures in colour."""
        places = self.sources["all"].places[self.rows]
        width, height = (
            side[places].astype(np.float64)
            for side in (self.tree.index.width, self.tree.index.height)
        )
        size = self._manifest["size"]
        if not self._manifest["random_crop"]:
            return 3 * size**2 * len(places)
        ratio = np.maximum(width, height) / np.minimum(width, height)
        areas = size**2 * np.where(ratio < ROOM, ratio + ROOM**2 / ratio, ratio)
        return 3 * areas.sum()

    def write(self, progress=True):
        """Write what is missing. Raises `InputError` where that cannot be, or all are damaged."""
        remove_partial(self.folder)
        if not is_pack(self.folder):
            self._save()  # from now on the folder is known for what it is
        self._write_small_files()
        self._save()
        shards, loaded = self._manifest["shards"], self._loaded()
        total = len(self.rows)
        with contextlib.closing(loaded), progress_bar(total, "pack", "image", progress) as bar:
            for number in self._missing:
                self._write_shard(number, loaded, bar, shards[number]["rows"])
            while packed_rows(self._manifest) < self._manifest["count"]:
                self._write_shard(len(shards), loaded, bar)
        self._check_some()

    def damaged(self):
        """[(path, reason)] of the files that turned out to be damaged inside."""
        entries = self._manifest["shards"]
        starts = np.cumsum([0, *(entry["rows"] for entry in entries)]).tolist()
        places = self.sources["all"].places
        return [
            (self.tree.path(places[start + one["row"]]), one["reason"])
            for start, entry in zip(starts, entries, strict=False)
            for one in entry["damaged"]
        ]

    def _check_some(self):
        damaged = self.damaged()
        if len(damaged) == self._manifest["count"]:
            raise InputError(
                f"none of the {len(damaged)} images could be decoded: {commonest(damaged)}"
            )

    def _shards_before(self, wanted):
        """The shards of a former attempt. Raises `InputError` where it was at something else."""
        if not is_pack(self.folder):
            _check_free(self.folder)
            return []
        found = read_manifest(self.folder)
        for name, words in _SETTINGS.items():
            if found[name] != wanted[name]:
                raise InputError(
                    f"{self.folder} is a pack {words(found)}, not {words(wanted)}: choose another "
                    "folder for this one, or remove that first"
                )
        if found["identities"] != wanted["identities"]:
            raise InputError(
                f"{self.folder} is a pack of other images, of {found['source']} as it was then: "
                "choose another folder for this one, or remove that first"
            )
        return found["shards"]

    def _is_there(self, number):
        """Whether a shard that the manifest names is still as it should be, at first sight."""
        entry = self._manifest["shards"][number]
        shard, table = shard_files(self.folder, number)
        try:
            check_length(shard, entry["bytes"])
            return file_checksum(table, REMEDY) == entry["checksum"]
        except InputError:
            return False

    def _loaded(self):
        """Iterator over what `resized_for_crops` says of the file of each row to be written."""
        places, sizes = self.sources["all"].places[self.rows], self.tree.index.listing.sizes
        size, random_crop = self._manifest["size"], self._manifest["random_crop"]
        calls = (
            (self.tree.path(place), size, random_crop, self.tree.bits, int(sizes[place]))
            for place in places
        )
        return self.tree.map(resized_for_crops, calls, len(places))

    def _write_shard(self, number, loaded, bar, rows=None):
        """Write a shard of what is loaded: of so many rows, or until it is full."""
        damaged = []

        def pictures():
            for row, found in enumerate(loaded):
                bar.update()
                if isinstance(found, UnreadableImage):
                    damaged.append({"row": row, "reason": str(found)})
                    found = []
                yield found

        def is_full(count, length):
            return count == rows if rows else length >= SHARD

        entry = write_shard(self.folder, number, pictures(), is_full)
        self._manifest["shards"][number : number + 1] = [{**entry, "damaged": damaged}]
        self._save()

    def _save(self):
        self._manifest["checksum"] = seal(self._manifest)
        write_json(self.folder / MANIFEST, self._manifest)

    def _write_small_files(self):
        """Write all files but the shards and the manifest, which gets their checksums."""
        source = self.sources["all"]
        names = [os.fsencode(source.image_name(row)) for row in range(len(source))]
        arrays = {
            "held_out": np.isin(source.places, self.sources["held_out"].places),
            "names": np.frombuffer(b"".join(names), np.uint8),
            "name_ends": np.cumsum([len(name) for name in names], dtype=np.int64),
        }
        if source.labels is not None:
            arrays["labels"] = source.labels
        for name, array in arrays.items():
            path = self.folder / f"{name}.npy"
            with atomic_write(path) as temporary, open(temporary, "wb") as file:
                np.save(file, array)
            self._manifest["checksums"][path.name] = file_checksum(path, REMEDY)
        with atomic_write(self.folder / LEFT_OUT) as temporary, open(temporary, "w") as file:
            for path, reason in source.skipped:
                file.write(json.dumps({"image": path, "reason": reason}) + "\n")


def _remark(skipped):
    """[Sentence] on files that are not in the pack."""
    if not skipped:
        return []
    return [f"{len(skipped)} files could not be used and were not packed: {LEFT_OUT} lists them"]


def _check_free(folder):
    """Raise `InputError` where a pack cannot be begun."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{folder} is no folder, where that of a pack should be: move it away")
    there = sorted(set(os.listdir(folder)) - {_LOCK}) if folder.is_dir() else []
    if any(not name.startswith(".") for name in there):
        raise InputError(
            f"{folder} holds something else ({there[0]}), and no pack: choose another folder"
        )


def _crops(manifest):
    if manifest["random_crop"]:
        return "for random crops"
    return "of images that are cropped at the centre"


def _size(manifest):
    return f"of {manifest['size']} x {manifest['size']} pixels"


_SETTINGS = {"size": _size, "random_crop": _crops}
