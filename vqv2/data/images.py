"""Open any images by what a person calls them: `open_images` is what most callers need."""

import difflib
import os
import re
from pathlib import Path

from vqv2.data.array import ArrayImages
from vqv2.data.depth import FULL
from vqv2.data.emoji import EmojiImages
from vqv2.data.fashion_mnist import SIZE as FASHION_SIZE
from vqv2.data.fashion_mnist import FashionMNIST
from vqv2.data.folder import FolderImages
from vqv2.data.formats import OTHER_IMAGES, endings
from vqv2.data.pack import Pack, is_pack
from vqv2.data.packed import PackedImages
from vqv2.data.picture import PictureFile
from vqv2.data.source import ImageSource
from vqv2.data.split import check_split
from vqv2.data.tree import FolderTree
from vqv2.data.workers import check_count
from vqv2.errors import InputError

__all__ = ["ArrayImages", "FolderImages", "ImageSource", "open_images", "open_splits"]

_PACKAGED = ("emoji", "fashion-mnist")
_CHOICES = (
    "a folder of images, a pack of one, a .npy or .npz file, emoji:SIZE, fashion-mnist or "
    "fashion-mnist:FOLDER"
)
_BITS = re.compile(r"(\d+)-bit:(.+)", re.DOTALL)
_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar")
_CONTAINERS = (
    (".h5", ".hdf5", ".mat", ".zarr", ".pt", ".pth", ".pkl", ".pickle", ".parquet", ".arrow")
    + (".tfrecord", ".mdb", ".lmdb", ".bin", ".safetensors")
)  # fmt: skip


def open_splits(data, size, channels=3, workers=None):
    """{"train", "held_out": `ImageSource`} of `data`, as `open_images` opens them, at once."""
    check_count(workers)
    if isinstance(data, str | os.PathLike) and size is not None:
        if is_pack(data):
            data = Pack(data, workers)
        elif _without_bits(data)[0].is_dir():
            data = open_tree(data, workers)
    return {split: open_images(data, size, channels, split) for split in ("train", "held_out")}


def open_tree(data, workers=None, rebuild=False):
    """The `FolderTree` of a folder of images; `data` may say how many bits they have."""
    path, bits = _without_bits(data)
    if is_pack(path):
        raise InputError(f"{path} is a pack already: give the folder of images that it was made of")
    kind = str(data).partition(":")[0]
    if not path.is_dir() and (kind in _PACKAGED or path.suffix.lower() in (".npy", ".npz")):
        raise InputError(
            f"{data} needs neither index nor pack: only a folder of image files has them"
        )
    return FolderTree(path, workers, rebuild, bits=bits)


def open_images(data, size, channels=3, split="train", workers=None):
    """The `ImageSource` that `data` names, with images of `size` x `size` pixels.

    data      a folder of images, or a single one; a pack of a folder; a `.npy` or `.npz` file;
              `emoji`, `emoji:SIZE`, or with other sets `emoji:SIZE+FOLDER+FOLDER`;
              `fashion-mnist` or `fashion-mnist:FOLDER`. `12-bit:FOLDER` says that files of 16
              bits which do not say it themselves have values of 12 (any number from 8 to 16)
    size      None for the size the source has of itself, which images in files and `emoji` have not
    channels  1 for greyscale, 3 for RGB
    split     "train", "held_out" (about 5 %, or what the source itself holds out) or "all"
    workers   how many processes read the images of a folder or a pack, 0 for none; None:
              automatic, and none for a few. Other data is read in this process

    Raises `InputError` for anything that cannot be opened; the message says why, and what can.
    """
    check_split(split)
    check_count(workers)
    for opened, images in ((FolderTree, FolderImages), (Pack, PackedImages)):
        if isinstance(data, opened):
            return images(data, size, channels, split)
    kind, _, detail = str(data).partition(":")
    if kind == "emoji":
        own_size, *sets = detail.split("+")
        return EmojiImages(_emoji_size(own_size, size), channels, split, sets)
    if kind == "fashion-mnist":
        return FashionMNIST(detail or None, split, FASHION_SIZE if size is None else size, channels)
    return _open_path(*_without_bits(data), size, channels, split, workers)


def _open_path(path, bits, size, channels, split, workers):
    if is_pack(path):
        if bits is not None:
            raise InputError(f"{bits}-bit:{path} makes no sense: a pack has images of 8 bits")
        return PackedImages(Pack(path, workers), size, channels, split)
    is_picture = path.exists() and path.suffix.lower() in endings()
    if size is None and (path.is_dir() or is_picture):
        raise InputError(f"the images in {path} may be of any size: give the size to use")
    if path.is_dir():
        return FolderImages(FolderTree(path, workers, bits=bits), size, channels, split)
    if is_picture:
        return PictureFile(path, size, channels, split, bits)
    if bits is not None and path.exists():
        raise InputError(f"{bits}-bit:{path} makes no sense: {bits}-bit: is for image files")
    if path.suffix.lower() in (".npy", ".npz"):
        return ArrayImages(path, size, channels, split)
    raise InputError(_unknown(path))


def has_own_size(data):
    """Whether the images that `data` names have a size of themselves (see `open_images`)."""
    kind, _, detail = str(data).partition(":")
    if kind in _PACKAGED:
        return bool(detail) or kind != "emoji"
    path, _ = _without_bits(data)
    return is_pack(path) or not path.is_dir() and path.suffix.lower() not in endings()


def absolute_data(data):
    """The same data, named so that it is found from any folder: paths made absolute.

    What does not exist stays as it is, for `open_images` to complain about in the user's words.
    """
    kind, colon, detail = str(data).partition(":")
    if kind == "emoji":
        size, *sets = str(data).split("+")
        return "+".join([size, *(str(Path(folder).resolve()) for folder in sets)])
    if kind in _PACKAGED:
        return f"{kind}:{Path(detail).resolve()}" if detail else kind
    path, bits = _without_bits(data)
    if not path.exists():
        return str(data)
    return str(path.resolve()) if bits is None else f"{bits}-bit:{path.resolve()}"


def _without_bits(data):
    """(Path, bits or None) of `data`, which may begin with `12-bit:`."""
    found = None if Path(data).exists() else _BITS.fullmatch(str(data))
    if found is None:
        return Path(data), None
    bits = int(found[1])
    if not 8 <= bits <= FULL:
        raise InputError(f"'{data}': images of {bits} bits are not known; give 8 to {FULL}")
    return Path(found[2]), bits


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


def _unknown(path):
    """What to say about `path`, which names nothing that can be opened."""
    if not path.exists():
        return f"'{path}' does not exist{_meant(path)}: the data may be {_CHOICES}"
    if path.suffix.lower() in _ARCHIVES:
        return f"'{path}' is packed: unpack it, and give the folder that comes of it"
    if path.suffix.lower() in _CONTAINERS:
        return (
            f"'{path}' is a container of arrays that is not read: save its images with "
            "numpy.savez(FILE, images=..., labels=...), and give that .npz file"
        )
    if path.suffix.lower() in OTHER_IMAGES:
        return f"'{path}' is an image of a kind that is not read: convert it to PNG or JPEG"
    kind = "a kind of file that can be used" if path.is_file() else "a file or a folder"
    return f"'{path}' is not {kind}: the data may be {_CHOICES}"


def _meant(path):
    beside = path.parent.iterdir() if path.parent.is_dir() else []
    names = [str(path.with_name(entry.name)) for entry in beside if entry != path]
    close = difflib.get_close_matches(str(path).partition(":")[0], _PACKAGED, n=1)
    close += difflib.get_close_matches(str(path), names, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
