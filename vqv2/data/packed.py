"""The images of a pack (`vqv2.data.pack`): the same, to the last bit, as from its folder."""

import functools

import numpy as np

from vqv2.data.augment import NONE
from vqv2.data.crop import crop_position
from vqv2.data.pack import Pack
from vqv2.data.readers import map_images, readers
from vqv2.data.shard import CENTRE, RANDOM
from vqv2.data.source import ImageSource, prepare
from vqv2.data.split import check_split
from vqv2.data.unusable import readable
from vqv2.errors import InputError


class PackedImages(ImageSource):
    """The images of a split of a pack, which is a path or a `Pack` that several splits share.

    `size` is the pack's own when None. `identity` is that of the folder that was packed: a training
    that has begun with either goes on with the other. An image whose file was damaged has the same
    stand-in as there. `Pack.pool` says who prepares the batches.

    Raises `InputError` for a pack that is not complete or is damaged, for another `size`, and for
    batches that are cropped at random from a pack that has left no room for it.
    """

    def __init__(self, pack, size=None, channels=3, split="all"):
        check_split(split)
        self._pack = pack = pack if isinstance(pack, Pack) else Pack(pack)
        own = pack.manifest["size"]
        super().__init__(pack.folder.resolve().name, own if size is None else size, channels)
        if self.size != own:
            raise InputError(
                f"{pack.folder} has images of {own} x {own} pixels, not of {size}: pack "
                f"{pack.manifest['source']} for that size, too, or use it as it is"
            )
        self._split = split
        self._rows = np.flatnonzero((pack.held_out == (split == "held_out")) | (split == "all"))
        self.class_names = tuple(pack.manifest["class_names"])
        self.labels = None if pack.labels is None else pack.labels[self._rows]
        self.remarks = pack.manifest["remarks"]
        self._damaged = self._find_damaged()
        self.skipped = list(self._damaged.values())

    def __len__(self):
        return len(self._rows)

    @property
    def identity(self):
        """As the packed folder's."""
        return self._pack.manifest["identities"][self._split]

    def readers(self, augmentation=NONE):
        """Who reads the images for batches with an augmentation, in words."""
        return readers(self._pack.pool(augmentation))

    def read(self, index):
        """Image `index`, cropped at its centre: uint8 (size, size, channels).

        Raises `InputError` with the path when its file was damaged.
        """
        if index in self._damaged:
            raise InputError("{} could not be packed: {}".format(*self._damaged[index]))
        return prepare_packed(self._pack, self._rows[index], self.channels)

    def image_name(self, index):
        """Its path below the folder that was packed."""
        return self._pack.name(self._rows[index])

    def _find_damaged(self):
        """{place: (path, reason)} of the images whose files were damaged inside."""
        source, all_damaged = self._pack.manifest["source"], self._pack.damaged
        rows = sorted(all_damaged.keys() & set(self._rows.tolist())) if all_damaged else []
        places = np.searchsorted(self._rows, rows).tolist()
        return {
            place: (f"{source}/{self._pack.name(row)}", all_damaged[row])
            for place, row in zip(places, rows, strict=True)
        }

    def check_augmentation(self, augmentation):
        """Raise `InputError` for random crops where the pack has left no room for them."""
        if augmentation.random_crop and not self._pack.manifest["random_crop"]:
            raise InputError(
                f"{self._pack.folder} has its images as they are cropped at the centre: to crop "
                f"them at random, pack {self._pack.manifest['source']} with --augmentation imagenet"
            )

    def _prepared(self, indices, augmentation, seeds):
        self.check_augmentation(augmentation)
        pool = self._pack.pool(augmentation)
        pack, function = (
            (self._pack, prepare_packed) if pool is None else (str(self._pack.folder), load_packed)
        )
        calls = (
            (pack, self._row(index), self.channels, augmentation, seed)
            for index, seed in zip(indices, seeds, strict=True)
        )
        return map_images(pool, function, calls, len(indices))

    def _row(self, index):
        """Of an image, or of its stand-in."""
        return int(self._rows[readable(index, self, self._damaged)])


def prepare_packed(pack, row, channels, augmentation=NONE, seed=None):
    """What `prepare` makes of an image in an opened `Pack`."""
    pixels = pack.picture(row, RANDOM if augmentation.random_crop else CENTRE)
    return prepare(pixels, pack.manifest["size"], channels, augmentation, seed, _cropped)


def load_packed(folder, *arguments):
    """What a worker process does: `prepare_packed` of the pack in a folder, which it opens once."""
    return np.ascontiguousarray(prepare_packed(_opened(folder), *arguments))


@functools.lru_cache(4)
def _opened(folder):
    return Pack(folder, workers=0)


def _cropped(pixels, size, draw=None):
    """As `vqv2.data.crop.square`, of pixels (H, W, C) that are resized already."""
    top, left = crop_position(*pixels.shape[:2], size, draw)
    return pixels[top : top + size, left : left + size]
