"""What image files there are below a folder: a compact list of millions."""

import collections
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vqv2.data.formats import endings
from vqv2.errors import InputError

THREADS = 16  # that wait for folders to be listed: for disks far away
_LONGEST_ENDING = 8  # letters; what is longer is part of a name


@dataclasses.dataclass
class Listing:
    """Image files below a root, sorted by the bytes of their paths: 24 bytes and a name for each.

    folders    [path of a folder, relative to the root, with "/" in between, "" for the root]
    folder_of  (N,) uint32, each file's place in `folders`
    names      uint8, all files' names, one after the other
    ends       (N,) uint32 or uint64, where each one ends in `names`
    sizes      (N,) int64, bytes; -1 for a file that cannot be asked
    changed    (N,) int64, nanoseconds: when the contents or the name were last changed

    left_out     [(path of a folder, why nothing in it was listed)]
    passed_over  {ending, "" for none: number of files that are no images by their names}
    """

    folders: list
    folder_of: np.ndarray
    names: np.ndarray
    ends: np.ndarray
    sizes: np.ndarray
    changed: np.ndarray
    left_out: list = dataclasses.field(default_factory=list)
    passed_over: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.ends)

    def path(self, index):
        """The path of a file relative to the root, with "/" in between."""
        start = int(self.ends[index - 1]) if index else 0
        name = os.fsdecode(self.names[start : int(self.ends[index])].tobytes())
        folder = self.folders[self.folder_of[index]]
        return f"{folder}/{name}" if folder else name

    def paths(self):
        """Iterator over all of them."""
        return map(self.path, range(len(self)))

    def identifying(self, places, below):
        """[bytes and arrays] that say what the files at `places`, sorted, are called and how long.

        `below` are the paths that the folders are called by. Two such lists are equal for equal
        paths and sizes, whatever else lies in the folder.
        """
        lengths = np.diff(self.ends.astype(np.int64), prepend=0)
        chosen = np.zeros(len(self), bool)
        chosen[places] = True
        used, folder_of = np.unique(self.folder_of[places], return_inverse=True)
        folders = "\0".join(below[number] for number in used.tolist())
        names = self.names[np.repeat(chosen, lengths)]
        return [os.fsencode(folders), folder_of, lengths[places], names, self.sizes[places]]


def list_images(root, update=lambda count: None):
    """The `Listing` of the image files below `root`, a folder; links to folders are followed once.

    Names that begin with a dot are passed over; what else is not listed is in `left_out` and
    `passed_over`. `update` is told the number of files of each folder listed. Raises `InputError`
    when the root itself cannot be listed.
    """
    root, folders, contents, left_out = str(root), [], [], []
    seen, frontier = {os.path.realpath(root): ""}, [("", os.path.realpath(root))]
    with ThreadPoolExecutor(THREADS) as threads:
        while frontier:  # all folders of one depth at a time
            paths = [os.path.join(root, path) if path else root for path, _ in frontier]
            below = []
            for folder, content in zip(frontier, threads.map(_content, paths), strict=True):
                update(len(content.ends))
                folders.append(folder[0])
                contents.append(content)
                if content.problem:
                    left_out.append((folder[0], content.problem))
                below += _subfolders(*folder, content, seen, left_out)
            frontier = below
    if contents[0].problem:
        raise InputError(f"the folder {root} {contents[0].problem.removeprefix('it ')}")
    return _joined(folders, contents, left_out)


@dataclasses.dataclass
class _Content:
    """What is in one folder: its image files, sorted by name, and [(sub-folder, is a link)].

    `problem`, if there is one, says why it is not known what else is in it.
    """

    names: bytes
    ends: np.ndarray
    sizes: np.ndarray
    changed: np.ndarray
    subfolders: list
    passed_over: collections.Counter
    problem: str

    def name(self, place):
        return self.names[self.ends[place - 1] if place else 0 : self.ends[place]]

    def place(self, key):
        """How many of the names come before `key`."""
        low, high = 0, len(self.ends)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.name(middle) < key else (low, middle)
        return low


def _content(path):
    files, subfolders, passed_over, problem = [], [], collections.Counter(), ""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                if _is_folder(entry):
                    subfolders.append((entry.name, entry.is_symlink()))
                elif _is_image(entry):
                    files.append((os.fsencode(entry.name), *_state(entry)))
                else:
                    passed_over[_ending(entry.name)] += 1
    except OSError as error:
        problem = f"it cannot be listed: {error.strerror}"
    files.sort()
    names = [name for name, _, _ in files]
    return _Content(
        b"".join(names),
        np.cumsum([len(name) for name in names], dtype=np.int64),
        np.array([size for _, size, _ in files], np.int64),
        np.array([changed for _, _, changed in files], np.int64),
        sorted(subfolders, key=lambda item: _key(item[0])),
        passed_over,
        problem,
    )


def _is_folder(entry):
    """A link to nowhere may be meant as one, unless it is named like an image: listed, it says."""
    try:
        is_folder = entry.is_dir()
    except OSError:  # a link that leads to itself
        is_folder = False
    return is_folder or entry.is_symlink() and not _is_image(entry) and not os.path.exists(entry)


def _is_image(entry):
    return entry.name.lower().endswith(endings())


def _ending(name):
    ending = os.path.splitext(name)[1].lower()
    return ending if len(ending) <= _LONGEST_ENDING and not ending[1:].isdigit() else ""


def _state(entry):
    try:
        found = entry.stat()
    except OSError:  # a link to nothing, or gone since: reading will say so
        return -1, 0
    return found.st_size, max(found.st_mtime_ns, found.st_ctime_ns)


def _subfolders(path, real, content, seen, left_out):
    """[(path, real path)] of the folders in a folder, without those `seen`, {real path: path}.

    Both `seen` and `left_out` grow.
    """
    below = []
    for name, is_link in content.subfolders:
        there, here = os.path.join(real, name), f"{path}/{name}" if path else name
        try:
            there = os.path.realpath(there) if is_link else there
        except OSError as error:
            left_out.append((here, f"it cannot be followed: {error.strerror}"))
            continue
        if there not in seen:
            seen[there] = here
            below.append((here, there))
        else:  # it could also be a folder above, which leads round in circles
            same = f"the folder {seen[there]}" if seen[there] else "the whole"
            left_out.append((here, f"it is the same as {same}, which is read once"))
    return below


def _joined(folders, contents, left_out):
    """All folders' files in the order of their paths."""
    pieces = list(_pieces(folders, contents))
    lengths = [stop - start for _, start, stop in pieces]
    names = b"".join(
        contents[number].names[_end(contents[number], start) : _end(contents[number], stop)]
        for number, start, stop in pieces
    )
    name_lengths = [np.diff(contents[n].ends, prepend=0)[a:b] for n, a, b in pieces]
    ends = np.cumsum(np.concatenate([np.zeros(0, np.int64), *name_lengths]))
    return Listing(
        folders,
        np.repeat(np.array([n for n, _, _ in pieces], np.uint32), lengths),
        np.frombuffer(names, np.uint8),
        ends.astype(np.uint32 if len(names) < 2**32 else np.uint64),
        np.concatenate([np.zeros(0, np.int64), *(contents[n].sizes[a:b] for n, a, b in pieces)]),
        np.concatenate([np.zeros(0, np.int64), *(contents[n].changed[a:b] for n, a, b in pieces)]),
        left_out,
        dict(sum((content.passed_over for content in contents), collections.Counter())),
    )


def _end(content, place):
    return int(content.ends[place - 1]) if place else 0


def _pieces(folders, contents):
    """(folder, first file, last file + 1) in the order of the files' paths.

    A sub-folder's files come where its name and a "/" would stand among its neighbours' names.
    """
    number_of = {path: number for number, path in enumerate(folders)}
    stack = [0]  # of folders, and of pieces of what is directly in one
    while stack:
        number = stack.pop()
        if isinstance(number, tuple):
            yield number
            continue
        content, start, inside = contents[number], 0, []
        for name, _ in content.subfolders:
            path = f"{folders[number]}/{name}" if folders[number] else name
            if path in number_of:  # else it has been seen elsewhere
                place = content.place(_key(name))
                inside += [(number, start, place), number_of[path]]
                start = place
        inside.append((number, start, len(content.ends)))
        stack += reversed(inside)


def _key(folder):
    """Where a folder's files are sorted in among its neighbours."""
    return os.fsencode(folder) + b"/"
