"""What the folders below a root mean: splits, classes, or nothing; no file is looked into.

Sub-folders of the usual names are splits, in any capitalisation: train or training; val, valid,
validation, dev or held_out; test or testing. What is held out then comes from the user's own split:
that for validation, or the one for testing where there is no other; beside one for validation,
testing is left alone, for whoever judges the result. A single split is divided by a hash.

They are folders like any others when there are more beside them, unless train has one to hold out
with it: then it is these others that are left out. Nor are they splits when most images lie beside
them.

Below a split, or the root, each folder is a class. Images beside the class folders are left out;
where these are more than those in folders, there are no classes, and all are used.
"""

import collections
import dataclasses
from typing import NamedTuple

import numpy as np

from vqv2.errors import InputError

WHOLE = "whole"  # a part that is divided into train and held_out by a hash
_MEANINGS = {
    "train": ("train", "training"),
    "held_out": ("val", "valid", "validation", "dev", "held_out"),
    "test": ("test", "testing"),
}
_MEANING = {name: meaning for meaning, names in _MEANINGS.items() for name in names}
_SHOWN = 5  # names in a sentence


@dataclasses.dataclass
class Layout:
    """What the folders of a `Listing` mean.

    splits       {"train" and "held_out", or WHOLE: path of its folder, "" for the root}
    class_names  tuple of str, sorted; empty when there are no classes
    part_of      [name in `splits`, or None, for each folder]
    class_of     int (folders,), places in `class_names`; -1 for none
    below        [path of each folder below its split's]
    left_out     {number of a folder: why its own images are left out}
    remarks      [sentence on what is odd]
    """

    splits: dict
    class_names: tuple
    part_of: list
    class_of: np.ndarray
    below: list
    left_out: dict
    remarks: list


class _Folder(NamedTuple):
    """A folder of a listing: the part it is of, its path below that, its own images' number."""

    part: str
    below: str
    count: int

    @property
    def name(self):
        """Of the class, if there are classes; "" for the folder that the classes lie in."""
        return self.below.partition("/")[0]


def read_layout(root, listing):
    """The `Layout` of the folders of a listing. Raises `InputError` where it cannot be told.

    `root` is the folder's path, for the sentences.
    """
    counts = np.bincount(listing.folder_of, minlength=len(listing.folders)).tolist()
    tops = collections.Counter()
    for path, count in zip(listing.folders, counts, strict=True):
        tops[path.partition("/")[0]] += count
    splits, remarks = _splits(root, tops)
    folders = [
        _Folder(*_placed(path, splits), count)
        for path, count in zip(listing.folders, counts, strict=True)
    ]
    left_out = {0: "it lies beside the splits' folders"} if folders[0].part is None else {}
    layout = Layout(
        splits,
        (),
        [folder.part for folder in folders],
        np.full(len(folders), -1),
        [folder.below for folder in folders],
        left_out,
        remarks,
    )
    if _have_classes(root, splits, folders):
        _set_classes(layout, root, folders)
    return layout


def _splits(root, tops):
    """(`Layout.splits`, remarks) of a folder with these {sub-folder: number of images}."""
    meant = [name for name in sorted(tops) if tops[name] and name.casefold() in _MEANING]
    others = [name for name in sorted(tops) if tops[name] and name and name not in meant]
    meanings = {_MEANING[name.casefold()] for name in meant}
    loose = tops[""] > sum(tops.values()) - tops[""]
    if not meant or loose or others and ("train" not in meanings or len(meanings) == 1):
        return {WHOLE: ""}, _not_splits(meant, others)
    found = _by_meaning(root, meant)
    if len(found) == 1:
        return {WHOLE: meant[0]}, [f"{meant[0]} is the only split: about 5 % of it are held out"]
    if "train" not in found:
        raise InputError(
            f"{root} has {_some(meant)}, but nothing to learn from: name that folder train"
        )
    held_out = found.get("held_out") or found["test"]
    remarks = []
    if others:
        count = sum(tops[name] for name in others)
        remarks.append(f"{count} images in {_some(others)}, beside the splits, are not used")
    if len(found) == 3:
        remarks.append(
            f"{tops[found['test']]} images in {found['test']} are not used, as {held_out} is held "
            "out: they are for judging the result"
        )
    return {"train": found["train"], "held_out": held_out}, remarks


def _not_splits(meant, others):
    beside = _some(others) or "most of the images"
    return [f"{_some(meant)}, beside {beside}, are not taken for splits"] if meant else []


def _by_meaning(root, names):
    found = {}
    for name in names:
        other = found.setdefault(_MEANING[name.casefold()], name)
        if other != name:
            raise InputError(
                f"{root} has both {other} and {name}, which mean the same: put their images "
                "together, or remove one"
            )
    return found


def _placed(path, splits):
    """(part, path below the part's folder) of a folder; (None, path) for one that is not used."""
    for part, top in splits.items():
        if not top:
            return part, path
        if path == top or path.startswith(top + "/"):
            return part, path[len(top) + 1 :]
    return None, path


def _have_classes(root, splits, folders):
    """Whether the images lie in class folders. Raises `InputError` where only some splits' do."""
    loose, inside = collections.Counter(), collections.Counter()
    for folder in folders:
        (inside if folder.below else loose)[folder.part] += folder.count
    verdicts = {part: inside[part] >= max(1, loose[part]) for part in splits}
    if len(set(verdicts.values())) > 1:
        there = {verdict: splits[part] for part, verdict in verdicts.items()}
        raise InputError(
            f"{root}/{there[True]} has class folders but {root}/{there[False]} has its images "
            "beside any: sort both into the same class folders, or none"
        )
    return all(verdicts.values())


def _set_classes(layout, root, folders):
    """Number the classes of all the splits together, so that every split has them alike."""
    counts = {part: collections.Counter() for part in layout.splits}
    for number, folder in enumerate(folders):
        if folder.part and folder.name:
            counts[folder.part][folder.name] += folder.count
        elif folder.part and folder.count:
            layout.left_out[number] = "it lies beside the class folders, in none of them"
    total = sum(counts.values(), collections.Counter())
    layout.class_names = tuple(sorted(total))
    numbers = {name: number for number, name in enumerate(layout.class_names)}
    layout.class_of[:] = [numbers.get(folder.name, -1) if folder.part else -1 for folder in folders]
    if "held_out" in counts:
        layout.remarks += _disagreement(root, layout.splits, counts)
    layout.remarks += _remarks_on_classes(folders, total)


def _disagreement(root, splits, counts):
    """[Remark on a class without held-out images]. Raises `InputError` for one without others."""
    train, held_out = +counts["train"], +counts["held_out"]
    if held_out.keys() - train.keys():
        raise InputError(
            f"{root}/{splits['held_out']} has images of the classes "
            f"{_some(sorted(held_out.keys() - train.keys()))}, but {root}/{splits['train']} has "
            "none of them: give both the same class folders"
        )
    missing = sorted(train.keys() - held_out.keys())
    return [f"{splits['held_out']} has no images of {_some(missing)}"] if missing else []


def _remarks_on_classes(folders, total):
    """[Sentence on classes], of which there are these {name: number of images}."""
    names = {folder.name for folder in folders if folder.part} - {""}
    empty = sorted(names - total.keys())
    single = sorted(name for name in total if total[name] == 1)
    inner = {part for folder in folders if folder.part for part in folder.below.split("/")[1:2]}
    remarks = []
    if empty:
        remarks.append(f"no images in {_some(empty)}: no classes")
    if single:
        remarks.append(f"a single image in {_some(single)}")
    if len(total) == 1:
        remarks.append(f"all images are of one class, {next(iter(total))}")
    if inner and all(name.casefold() in _MEANING for name in inner):
        remarks.append(
            f"the classes have folders named like splits ({_some(sorted(inner))}), which are taken "
            "together: splits are understood above the classes only"
        )
    return remarks


def _some(names):
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
