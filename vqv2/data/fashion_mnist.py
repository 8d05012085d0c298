"""Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017): 70 000 grey pictures of clothes in 10 classes."""

import gzip
import math
from pathlib import Path

import numpy as np

from vqv2.data.source import ImageSource, picture_of
from vqv2.data.split import check_split
from vqv2.errors import InputError, MissingError
from vqv2.files import reading

FOLDER = Path("/usr/share/datasets/fashion-mnist")
SIZE = 32
CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
)
_SIDE = 28
_PREFIXES = {"train": ["train"], "held_out": ["t10k"], "all": ["train", "t10k"]}
_LARGEST = 2**26  # bytes of a file, uncompressed: that of the training images has 47 million
_REMEDY = "get the file again"
_IMAGES_MAGIC = 0x0803
_LABELS_MAGIC = 0x0801


class FashionMNIST(ImageSource):
    """Fashion-MNIST from its four idx files, raw or .gz, in `folder`.

    The 28 x 28 images have a black border added to be 32 x 32, the only size there is. `train` is
    the 60 000 images of the files train-*, `held_out` the 10 000 of t10k-*. Without a folder it is
    where Debian's package dataset-fashion-mnist puts the files.

    Raises `InputError` for another size, a missing file, and one that is damaged or foreign.
    """

    def __init__(self, folder=None, split="all", size=SIZE, channels=1):
        check_split(split)
        if size != SIZE:
            raise InputError(
                f"fashion-mnist has the size {SIZE} only, not {size}: set image_size={SIZE}"
            )
        super().__init__("fashion-mnist", size, channels, CLASS_NAMES)
        folder = _existing(folder)
        parts = [_load(folder, prefix) for prefix in _PREFIXES[split]]
        self._images = np.concatenate([images for images, _ in parts])
        self.labels = np.concatenate([labels for _, labels in parts]).astype(np.int64)

    def __len__(self):
        return len(self._images)

    def _what_it_holds(self):
        return [self._images]

    def _picture(self, index):
        border = (SIZE - _SIDE) // 2
        return picture_of(np.pad(self._images[index], border)[..., None])


def _existing(folder):
    if folder is None and not FOLDER.is_dir():
        raise InputError(
            f"Fashion-MNIST is not in {FOLDER}: install the Debian package dataset-fashion-mnist, "
            "or give the folder that has its idx files as fashion-mnist:FOLDER"
        )
    folder = FOLDER if folder is None else Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: give the one with Fashion-MNIST's files")
    return folder


def _load(folder, prefix):
    """Images, uint8 (N, 28, 28), and labels, uint8 (N,), of the files that begin with `prefix`."""
    images, path = _idx(folder, f"{prefix}-images-idx3-ubyte", _IMAGES_MAGIC)
    labels, labels_path = _idx(folder, f"{prefix}-labels-idx1-ubyte", _LABELS_MAGIC)
    if images.shape[1:] != (_SIDE, _SIDE) or not len(images):
        raise InputError(f"{path} has images of the shape {images.shape}, not (N, 28, 28)")
    if len(labels) != len(images):
        raise InputError(f"{labels_path} has {len(labels)} labels for {len(images)} images")
    if labels.max() >= len(CLASS_NAMES):
        raise InputError(f"{labels_path} has the label {labels.max()}: it must be from 0 to 9")
    return images, labels


def _idx(folder, name, magic):
    """The uint8 array in an idx file, and the path it was read from.

    An idx file is a magic number (whose last byte is the rank), the lengths of the axes, both
    32-bit big-endian, and the values.
    """
    path = folder / name if (folder / name).exists() else folder / f"{name}.gz"
    content = _content(path)
    start = 4 * ((magic & 0xFF) + 1)
    header = np.frombuffer(content[:start].ljust(start, b"\0"), ">u4")
    if header[0] != magic or len(content) < start:
        raise InputError(f"{path} is not the idx file it should be: its header is a different one")
    shape = tuple(int(length) for length in header[1:])
    values = content[start:]
    if len(values) != math.prod(shape):
        raise InputError(
            f"{path} is damaged: it has {len(values)} bytes of values, "
            f"but its header says {math.prod(shape)}: {_REMEDY}"
        )
    return np.frombuffer(values, np.uint8).reshape(shape), path


def _content(path):
    try:
        with reading(path, _REMEDY) as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            content = stream.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise ValueError(f"it holds more than {_LARGEST} bytes")
            return content
    except MissingError:
        raise MissingError(
            f"there is no file {path} (nor without .gz): get Fashion-MNIST's files"
        ) from None
