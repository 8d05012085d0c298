"""Checkpoints: safetensors files, written atomically and sealed; several kept.

Arrays come in groups, by what their names begin with, and every group has a digest, so that who
uses a model reads and verifies a quarter of the file:

average.NAME               the model in use: averaged parameters, and buffers
model.NAME                 the parameters as the last step left them
mean.NAME, square.NAME     Adam's moments

The digests and the metadata are sealed together. That of "average" tells one trained model from
another (`digest`).
"""

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np

from backends.precision import rounded
from vqv2.config import from_values
from vqv2.errors import DamagedError, InputError, MissingError
from vqv2.files import link, open_tensors, parse_json, write_tensors
from vqv2.files.text import Each, Many, Maybe, Number, Table, Text, Whole
from vqv2.nn.finite import check_arrays

FORMAT = "vqv2 checkpoint 2"
IN_USE = "average"  # the group of what a trained model consists of
METADATA = Table(
    {},
    maybe={
        "stage": Text(),
        "step": Whole(),
        "seed": Whole(0, None),
        "config": Each(),
        "best": Maybe(Table({"step": Whole(), "loss": Number()})),
        "data": Text(),
        "path": Text(),
        "class_names": Many(Text()),
        "autoencoder": Text(),
        "codes": Text(),
        "learned": Many(Whole(0, None)),
        "compacted": Text(),
        "from": Table(
            {"identity": Text()},
            maybe={"run": Text(), "file": Text(), "stage": Text(), "step": Whole()},
        ),
    },
)


class Checkpoints:
    """The checkpoints of one stage: the newest, those before it, and the best.

    FOLDER/checkpoint.safetensors        the newest
    FOLDER/checkpoint-STEP.safetensors   those before it; with the newest, `keep` in all
    FOLDER/best.safetensors              the one of the lowest held-out loss, however old

    One that is kept under two names takes its space once, where the file system can do that.
    """

    def __init__(self, folder, keep=2):
        self.folder = Path(folder)
        self.keep = keep
        self.newest = self.folder / "checkpoint.safetensors"
        self.best = self.folder / "best.safetensors"
        self._step = None  # of `newest`, once it is known to be good

    def paths(self):
        """Those that exist, in the order in which to try them: from new to old, the best last."""
        ordered = (self.newest, *self._earlier(), self.best)
        return [path for path in ordered if path.exists()]

    def metadata(self):
        """What the newest one says whose header can be read, its arrays not looked at; or None."""
        for path in self.paths():
            with contextlib.suppress(DamagedError):
                return read_metadata(path)
        return None

    def lowest(self):
        """The path of the one that had the lowest held-out loss.

        Raises `InputError` where it is not there: nothing was held out, or a part was copied.
        """
        if self.best.exists():
            return self.best
        if not is_best(read_metadata(self.newest)):
            raise InputError(
                f"{self.newest} is not the checkpoint of the lowest held-out loss, and {self.best} "
                "is not there: leave out --best"
            )
        return self.newest

    def way_back(self):
        """What to do, in words, where training has diverged before the newest one was written."""
        earlier = [path for path in self.paths() if path != self.newest]
        if not earlier or not self.newest.exists():
            return ""
        return (
            f"; where a lower rate does not help, move {self.newest} away: --resume then goes on "
            f"from {earlier[0].name}"
        )

    def load(self, check=lambda path, metadata: None):
        """(path, arrays, metadata, [sentence about each damaged one]) of the newest good one.

        `check` may refuse it before anything in the folder is changed. Raises `InputError` when
        there is none.
        """
        path, arrays, metadata, damaged = self.look()
        check(path, metadata)
        # What `save` does last may be missing when the program was ended.
        if is_best(metadata) and path != self.best:
            link(path, self.best)
        if path == self.newest:
            self._step = metadata["step"]
            self._remove_old()
        if damaged:
            damaged.append(f"going on from {path}, of step {metadata['step']}")
        return path, arrays, metadata, damaged

    def look(self):
        """What `load` finds, changing nothing: for who does not have the folder to themselves."""
        damaged = []
        for path in self.paths():
            try:
                return path, *load(path), damaged
            except DamagedError as error:
                damaged.append(str(error))
        if damaged:
            raise DamagedError(f"there is no other checkpoint to go on from; {'; '.join(damaged)}")
        raise InputError(f"there is no checkpoint {self.newest}: train first")

    def save(self, arrays, metadata):
        """Add the newest; `metadata` has its "step", and "best", {"step", "loss"} or None.

        Raises `InputError` when it cannot be written; those that are there are then untouched.
        """
        if self._step is not None and self.keep > 1:
            link(self.newest, self.folder / f"checkpoint-{self._step}.safetensors")
        save(self.newest, arrays, metadata)
        self._step = metadata["step"]
        if is_best(metadata):
            link(self.newest, self.best)
        self._remove_old()

    def _remove_old(self):
        # One of a later step than the newest was found damaged when the newest was begun.
        former = [path for path in self._earlier() if _step_in_name(path) < self._step]
        for path in set(self._earlier()) - set(former[: self.keep - 1]):
            path.unlink(missing_ok=True)

    def _earlier(self):
        """Those before the newest, from new to old."""
        paths = self.folder.glob("checkpoint-*.safetensors")
        numbered = [path for path in paths if path.stem.removeprefix("checkpoint-").isdecimal()]
        return sorted(
            [path for path in numbered if not path.is_dir()], key=_step_in_name, reverse=True
        )


def _step_in_name(path):
    return int(path.stem.removeprefix("checkpoint-"))


def is_best(metadata):
    """Whether a checkpoint is the one that had the lowest held-out loss when it was written."""
    return (metadata.get("best") or {}).get("step") == metadata["step"]


def check_stage(path, metadata, stage):
    """Raise `InputError` unless the metadata of the checkpoint at `path` is of `stage`."""
    check_fields(path, metadata, ("step", "config"))
    if metadata.get("stage") != stage:
        raise InputError(
            f"{path} holds {metadata.get('stage')!r}, not {stage!r}: move it to where it belongs, "
            "and restore the right one from a copy (--resume goes on from the one before it)"
        )


def check_fields(path, metadata, names):
    """Raise `DamagedError` unless the metadata of the checkpoint at `path` has fields `names`."""
    for name in names:
        if name not in metadata:
            raise DamagedError(f"{path} is damaged, its metadata lacks {name}: {_REMEDY}")


def config_of(kind, path, metadata):
    """The configuration, a dataclass `kind`, that the checkpoint at `path` was trained with.

    Raises `DamagedError` when its metadata has none.
    """
    try:
        return from_values(kind, metadata["config"])
    except InputError as error:
        raise DamagedError(f"{path} is damaged in its configuration ({error}): {_REMEDY}") from None


def save(path, arrays, metadata, bfloat16=()):
    """Write {name: NumPy array} and JSON-able `metadata` to `path`.

    The arrays named in `bfloat16` are rounded to that, and stored in 16 bits; `load` gives these
    rounded numbers as float32. Either the whole file is there afterwards or the former one still
    is. Raises `InputError` when it cannot be written (no space, no permission).
    """
    arrays = arrays | {name: rounded(arrays[name], "bfloat16") for name in bfloat16}
    groups = sorted({_group_of(name) for name in arrays})
    digests = {group: checksum(_group(arrays, group)) for group in groups}
    header = {"format": FORMAT, "metadata": json.dumps(metadata), "digests": json.dumps(digests)}
    write_tensors(path, arrays, {**header, "seal": _seal(header)}, bfloat16)


def load(path, groups=None):
    """(arrays, metadata) of a file that `save` wrote; of some `groups` only, or of all.

    What is read is verified. Raises `InputError` when there is none or when it cannot be read,
    `DamagedError` when it is damaged or another kind of file.
    """
    with _opened(path) as (file, metadata, digests):
        chosen = digests if groups is None else groups
        arrays = {name: file.read(name) for name in file.entries if _group_of(name) in chosen}
        for group in chosen:
            if checksum(_group(arrays, group)) != digests.get(group):
                raise DamagedError(
                    f"{path} is damaged, its arrays {group} do not match their checksum: {_REMEDY}"
                )
    return arrays, metadata


_REMEDY = "restore it from a copy, or train again (--resume goes on from the one before it)"


def load_model(model, path):
    """`model`, which was built without weights, with those in use in the checkpoint at `path`.

    Raises as `load` does, and `InputError` when they do not fit the model or are not all finite.
    """
    arrays, _ = load(path, (IN_USE,))
    check_arrays(arrays, path)
    model.load_state(_group(arrays, IN_USE), copy=False)
    return model


def read_metadata(path):
    """The metadata of a file that `save` wrote, without the arrays and without checking these.

    Raises as `load` does.
    """
    with _opened(path) as (_, metadata, _):
        return metadata


def digest(path):
    """What tells the trained model in a file from another: `checksum` of its state in use.

    Read from the sealed header. Raises as `load` does.
    """
    with _opened(path) as (_, _, digests):
        if IN_USE not in digests:
            raise DamagedError(f"{path} is damaged, it holds no model: {_REMEDY}")
        return digests[IN_USE]


@contextlib.contextmanager
def _opened(path):
    """Context manager: (`Tensors`, metadata, {group: digest}), the header verified.

    Errors of reading inside are those of `load`.
    """
    try:
        with open_tensors(path, _REMEDY) as file:
            header = file.metadata
            if header.get("format") != FORMAT:
                raise DamagedError(f"{path} is not a checkpoint of vqv2: choose another file")
            if header.get("seal") != _seal(header):
                raise DamagedError(
                    f"{path} is damaged, its header does not match its checksum: {_REMEDY}"
                )
            metadata, digests = _parsed(path, header)
            if {_group_of(name) for name in file.entries} != set(digests):
                raise DamagedError(f"{path} is damaged, arrays are missing: {_REMEDY}")
            yield file, metadata, digests
    except MissingError:
        raise MissingError(f"there is no checkpoint {path}: train first") from None


def _parsed(path, header):
    try:
        metadata = parse_json(header.get("metadata", ""), METADATA)
        return metadata, parse_json(header.get("digests", ""), Each(Text()))
    except ValueError as error:
        raise DamagedError(f"{path} is damaged in its metadata ({error}): {_REMEDY}") from None


def _seal(header):
    text = f"{header.get('digests')} {header.get('metadata')}"
    return hashlib.sha256(text.encode()).hexdigest()


def _group_of(name):
    return name.partition(".")[0]


def _group(arrays, group):
    """{name without the group: array} of those in a group."""
    parts = {name: name.partition(".") for name in arrays}
    return {parts[name][2]: arrays[name] for name in arrays if parts[name][0] == group}


def checksum(arrays):
    """SHA-256 (hexadecimal) over names, dtypes, shapes and contents of {name: array}."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.data if array.size else b"")
    return found.hexdigest()
