"""Open any images by what a person calls them: `open_images` is what most callers need."""

import difflib
from pathlib import Path

from vqv2.data.array import ArrayImages
from vqv2.data.emoji import EmojiImages
from vqv2.data.fashion_mnist import SIZE as FASHION_SIZE
from vqv2.data.fashion_mnist import FashionMNIST
from vqv2.data.folder import FolderImages
from vqv2.data.source import ImageSource
from vqv2.data.split import check_split
from vqv2.data.tree import FolderTree
from vqv2.data.workers import check_count
from vqv2.errors import InputError

__all__ = ["ArrayImages", "FolderImages", "ImageSource", "open_images", "open_splits"]

_PACKAGED = ("emoji", "fashion-mnist")
_CHOICES = (
    "a folder of images, a .npy or .npz file, emoji:SIZE, fashion-mnist or fashion-mnist:FOLDER"
)


def open_splits(data, size, channels=3, workers=None):
    """{"train", "held_out": `ImageSource`} of `data`, as `open_images` opens them, at once."""
    check_count(workers)
    if Path(data).is_dir() and size is not None:
        data = FolderTree(data, workers)
    return {split: open_images(data, size, channels, split) for split in ("train", "held_out")}


def open_images(data, size, channels=3, split="train", workers=None):
    """The `ImageSource` that `data` names, with images of `size` x `size` pixels.

    data      a folder of images; a `.npy` or `.npz` file; `emoji` or `emoji:SIZE`;
              `fashion-mnist` or `fashion-mnist:FOLDER`
    size      None for the size the source has of itself, which a folder and `emoji` do not have
    channels  1 for greyscale, 3 for RGB
    split     "train", "held_out" (about 5 %, or what the source itself holds out) or "all"
    workers   how many processes read a folder's images, 0 for none; None: automatic, and none for
              a small folder. Other data is read in this process

    Raises `InputError` for anything that cannot be opened; the message says why, and what can.
    """
    check_split(split)
    check_count(workers)
    if isinstance(data, FolderTree):
        return FolderImages(data, size, channels, split)
    kind, _, detail = str(data).partition(":")
    path = Path(data)
    if kind == "emoji":
        return EmojiImages(_emoji_size(detail, size), channels, split)
    if kind == "fashion-mnist":
        return FashionMNIST(detail or None, split, FASHION_SIZE if size is None else size, channels)
    if path.is_dir():
        if size is None:
            raise InputError(f"the images in {path} may be of any size: give the size to use")
        return FolderImages(path, size, channels, split, workers)
    if path.suffix.lower() in (".npy", ".npz"):
        return ArrayImages(path, size, channels, split)
    raise InputError(_unknown(path, kind))


def absolute_data(data):
    """The same data, named so that it is found from any folder: paths made absolute.

    What does not exist stays as it is, for `open_images` to complain about in the user's words.
    """
    kind, colon, detail = str(data).partition(":")
    if kind in _PACKAGED:
        return str(data) if kind == "emoji" or not detail else f"{kind}:{Path(detail).resolve()}"
    return str(Path(data).resolve()) if Path(data).exists() else str(data)


def _emoji_size(detail, size):
    """The size asked for by `emoji:SIZE`, by `size`, or by both alike."""
    if not detail:
        if size is None:
            raise InputError("emoji have any size: give one, for example emoji:64")
        return size
    if not detail.isdecimal():
        raise InputError(f"'emoji:{detail}' has no size: write, for example, emoji:64")
    if size is not None and size != int(detail):
        raise InputError(f"'emoji:{detail}' asks for another size than {size}: give one of the two")
    return int(detail)


def _unknown(path, kind):
    """What to say about `path`, which names nothing that can be opened."""
    problem = "is not a kind of file that can be used" if path.exists() else "does not exist"
    beside = path.parent.iterdir() if path.parent.is_dir() else []
    names = [str(path.with_name(entry.name)) for entry in beside if entry != path]
    close = difflib.get_close_matches(kind, _PACKAGED, n=1)
    close += difflib.get_close_matches(str(path), names, n=1)
    meant = f" (did you mean '{close[0]}'?)" if close else ""
    return f"'{path}' {problem}{meant}: the data may be {_CHOICES}"
