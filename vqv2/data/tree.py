"""A folder of images as a whole: its splits, what is in their files, and who reads them."""

from pathlib import Path

from vqv2.data.index import WORKERS_FROM, open_index
from vqv2.data.listing import subfolders
from vqv2.data.workers import Workers, automatic_count, check_count
from vqv2.errors import InputError

HELD_OUT_NAMES = ("val", "held_out", "validation", "test")


class FolderTree:
    """A folder opened once, for all the splits of it that are wanted.

    folder   its path
    parts    {"train": Path, "held_out": Path} of the sub-folders that are the splits; {} without
    indexes  {folder that has images: `Index`}: of the parts, or of the whole
    workers  the `Workers` that read the images; None for threads of this process

    `workers`, a number, asks for that many processes, 0 for none; None decides by the number of
    images. Raises `InputError` for a folder that is missing or cannot be listed.
    """

    def __init__(self, folder, workers=None, rebuild=False, progress=True):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"there is no folder {folder}: give a folder of images")
        check_count(workers)
        self.parts = _split_folders(self.folder)
        pool = None if workers == 0 else Workers(workers or automatic_count())
        self.indexes = {
            root: open_index(root, pool, rebuild, progress)
            for root in self.parts.values() or [self.folder]
        }
        count = sum(map(len, self.indexes.values()))
        few = workers is None and count < WORKERS_FROM
        self.workers = None if few else pool


def _split_folders(folder):
    names = subfolders(folder)
    held_out = [folder / name for name in HELD_OUT_NAMES if name in names]
    if held_out and "train" in names:
        return {"train": folder / "train", "held_out": held_out[0]}
    return {}
