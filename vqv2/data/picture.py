"""A single image file: something to look at or to reconstruct, but nothing to learn from."""

from pathlib import Path

from vqv2.data.crop import decoded_size
from vqv2.data.decode import UnreadableImage, decode, inspect
from vqv2.data.depth import FULL
from vqv2.data.source import ImageSource
from vqv2.data.tree import unclear_range
from vqv2.errors import InputError


class PictureFile(ImageSource):
    """The one image in a file; it is always held out.

    `bits` as in `vqv2.data.decode.decode`. Raises `InputError` for a file that cannot be used, and
    when it is to be trained on.
    """

    def __init__(self, path, size, channels=3, split="held_out", bits=None):
        self._path = Path(path)
        super().__init__(self._path.name, size, channels)
        if split == "train":
            raise InputError(
                f"{path} is a single image, and there is nothing to learn from one: give a folder "
                "of images"
            )
        self._bits = bits
        self._check(path)

    def __len__(self):
        return 1

    def _check(self, path):
        try:
            found = inspect(path)
            picture = self._picture(0)
        except UnreadableImage as error:
            raise InputError(f"{path} cannot be used: {error}") from None
        if min(picture.size) < self.size:
            raise InputError(
                f"{path} is too small: {found.width} x {found.height} pixels for a size of "
                f"{self.size}"
            )
        if self._bits is None and 0 < found.bits < FULL:
            raise InputError(unclear_range(path, found.bits))

    def _what_it_holds(self):
        yield str(self._bits).encode()
        yield self._path.read_bytes()

    def _picture(self, index):
        return decode(self._path, decoded_size(self.size), self._bits)
