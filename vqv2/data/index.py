"""What is known about the image files below a folder, kept on disk so that it is found out once.

Listing a folder of millions of files takes seconds; looking into each of them takes minutes or
hours. So what is found in every image is kept, in a file of its own for each folder, in the
user's cache:

    $VQV2_CACHE/indexes, or else $XDG_CACHE_HOME/vqv2/indexes, or else ~/.cache/vqv2/indexes

`VQV2_CACHE=off` keeps nothing. An index is a cache: it may be deleted at any time. Whenever it is
used, the folder is listed, and files that are new, or whose size or time of change is another than
before, are looked into again; so are those that could not be used. An index that was interrupted
has what was found until then, and the next one goes on with the rest.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from vqv2.data.listing import Listing, list_images
from vqv2.data.load import inspect_files
from vqv2.data.readers import in_order
from vqv2.errors import InputError
from vqv2.files import archive, atomic_write, parse_json
from vqv2.files.text import Many, Table, Text
from vqv2.terminal import progress_bar

FORMAT = "vqv2 index 2"
KEPT_FROM = 1000  # files; of fewer nothing is kept, as looking into them takes a second
WORKERS_FROM = 2000  # files; to look into fewer takes no longer than to start workers
KEPT_EVERY = 60  # seconds, while many files are looked into for the first time
AT_ONCE = 128  # files that one call of a worker looks into
DELAY = 1  # seconds without a progress bar
_LISTED = ("folder_of", "names", "ends", "sizes", "changed")
_FOUND = {"width": np.uint32, "height": np.uint32, "bits": np.uint8, "reducible": bool}
_ABOUT = Table({"format": Text(), "root": Text(), "folders": Many(Text())})


@dataclasses.dataclass
class Index:
    """A `Listing`, and what is in the files: 34 bytes and a name for each of them.

    width, height    (N,) uint32, pixels; 0 for a file that cannot be used
    bits, reducible  (N,) uint8 and bool, as in `vqv2.data.decode.Found`
    reasons          {place of a file that cannot be used: why not}
    """

    listing: Listing
    width: np.ndarray
    height: np.ndarray
    bits: np.ndarray
    reducible: np.ndarray
    reasons: dict

    def __len__(self):
        return len(self.listing)


def open_index(root, workers=None, rebuild=False, progress=True):
    """The `Index` of the image files below `root`, from the cache as far as it still holds.

    `workers` (`vqv2.data.workers.Workers`) look into new files where these are many, threads where
    they are few. `rebuild` takes nothing from the cache. A progress bar is shown when it takes more
    than a second. Raises `InputError` for a folder that cannot be listed; warns when the index
    cannot be kept.
    """
    root = str(root)
    with progress_bar(None, "listing", "file", progress, delay=DELAY) as bar:
        listing = list_images(root, bar.update)
    former = None if rebuild else _kept(root)
    index = _blank(listing)
    todo = np.arange(len(listing)) if former is None else _carry_over(index, former)
    try:
        _look_into(index, root, todo, workers, progress)
    finally:  # what has been found is found, also when this is interrupted
        if former is None or len(former) != len(index) or index.width[todo].any():
            _keep(index, root)
    return index


def index_file(root):
    """Where the index of a folder is kept; None when that is turned off."""
    chosen = os.environ.get("VQV2_CACHE", "")
    if chosen.lower() in ("off", "none", "0"):
        return None
    folder = Path(chosen) if chosen else _user_cache() / "vqv2"
    name = hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()
    return folder / "indexes" / f"{name}.npz"


def _user_cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _blank(listing):
    nothing = {name: np.zeros(len(listing), dtype) for name, dtype in _FOUND.items()}
    return Index(listing, **nothing, reasons={})


def _carry_over(index, former):
    """Fill in what is known from before; the places of the files that have to be looked into."""
    place = _places_before(index.listing, former.listing)
    same = place >= 0
    for field in ("sizes", "changed"):
        before = getattr(former.listing, field)[place] if len(former) else place
        same &= getattr(index.listing, field) == before
    same[same] = former.width[place[same]] > 0
    for name in _FOUND:
        getattr(index, name)[same] = getattr(former, name)[place[same]]
    return np.flatnonzero(~same)


def _places_before(listing, former):
    """Each file's place in a former listing, int64 (N,); -1 for a new one. Both are sorted."""
    if _same_names(listing, former):
        return np.arange(len(listing))
    places = np.full(len(listing), -1)
    before, known = 0, len(former)
    for now, path in enumerate(map(os.fsencode, listing.paths())):
        while before < known and os.fsencode(former.path(before)) < path:
            before += 1
        if before < known and os.fsencode(former.path(before)) == path:
            places[now] = before
    return places


def _same_names(listing, former):
    return listing.folders == former.folders and all(
        np.array_equal(getattr(listing, field), getattr(former, field))
        for field in ("folder_of", "ends", "names")
    )


def _look_into(index, root, todo, workers, progress):
    """Fill in what is in the files at the places `todo`."""
    chunks = [todo[start : start + AT_ONCE] for start in range(0, len(todo), AT_ONCE)]
    calls = ([os.path.join(root, index.listing.path(place)) for place in chunk] for chunk in chunks)
    inspected = _inspected(calls, workers if len(todo) >= WORKERS_FROM else None)
    kept_at = time.monotonic()
    with (
        contextlib.closing(inspected),
        progress_bar(len(todo), "index", "file", progress, delay=DELAY) as bar,
    ):
        for chunk, found in zip(chunks, inspected, strict=True):
            for place, one in zip(chunk.tolist(), found, strict=True):
                if isinstance(one, str):
                    index.reasons[place] = one
                else:
                    for name, value in one._asdict().items():
                        getattr(index, name)[place] = value
            bar.update(len(chunk))
            if time.monotonic() - kept_at > KEPT_EVERY:  # for who is killed
                _keep(index, root)
                kept_at = time.monotonic()


def _inspected(calls, workers):
    if workers is None:
        Image.init()  # loads the formats once, not in every thread
        with ThreadPoolExecutor() as threads:
            yield from in_order(threads, inspect_files, calls, 32)
    else:
        calls = ((paths,) for paths in calls)
        yield from workers.map(
            inspect_files, calls, lambda paths: f"looking into {paths[0]} to {paths[-1]}"
        )


def _keep(index, root):
    path = index_file(root)
    if path is None or len(index) < KEPT_FROM:
        return
    listing = index.listing
    about = {
        "format": FORMAT,
        "root": os.path.realpath(root),
        "folders": listing.folders,
    }
    arrays = {name: getattr(listing, name) for name in _LISTED}
    arrays |= {name: getattr(index, name) for name in _FOUND}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    try:
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, about=text, **arrays)
    except InputError as error:
        warnings.warn(
            f"the index of {root} is not kept, and has to be made again next time: {error}; "
            "VQV2_CACHE names another folder, or is off",
            RuntimeWarning,
            stacklevel=2,
        )


def _kept(root):
    """The `Index` in the cache; None without one, and for one that is damaged or of an old kind."""
    path = index_file(root)
    if path is None:
        return None
    try:
        with archive(path, "delete it") as found:  # which has a checksum for every array
            about = parse_json(found.read("about").tobytes(), _ABOUT)
            if about["format"] != FORMAT or about["root"] != os.path.realpath(root):
                return None
            listed = {name: found.read(name) for name in _LISTED}
            known = {name: found.read(name) for name in _FOUND}
    except (InputError, KeyError):
        return None
    index = Index(Listing(about["folders"], **listed), **known, reasons={})
    return index if _is_consistent(index) else None


def _is_consistent(index):
    """Whether all parts of an index go together, so that any place in it can be asked for."""
    listing, count = index.listing, index.width.shape
    columns = (listing.folder_of, listing.ends, listing.sizes, listing.changed)
    found = {name: getattr(index, name) for name in _FOUND}
    if any(column.shape != count or column.dtype.kind not in "iu" for column in columns):
        return False
    if any(column.shape != count or column.dtype != _FOUND[n] for n, column in found.items()):
        return False
    folders, ends = listing.folder_of.astype(np.int64), listing.ends.astype(np.int64)
    return (
        bool((np.diff(ends, prepend=0) > 0).all())
        and listing.names.dtype == np.uint8
        and listing.names.shape == (ends[-1] if len(ends) else 0,)
        and not (folders < 0).any()
        and not (folders >= len(listing.folders)).any()
    )
