"""Writing images for `--data` to read, more of them than the memory holds."""

import contextlib
import zipfile

import numpy as np

from vqv2.files import atomic_write


@contextlib.contextmanager
def image_file(path, shape, labels=None):
    """Context manager: yields what adds images, uint8 (n, H, W, C), to a .npz file of them.

    `shape` (N, H, W, C) is that of all of them, which have to be added.
    `labels`, integers (N,), are written with them. Either the whole file is there afterwards or a
    former one still is. Raises `InputError` when it cannot be written.
    """
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        if labels is not None:
            with archive.open("labels.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(labels))
        with archive.open("images.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_1_0(file, header)
            yield lambda images: file.write(np.ascontiguousarray(images))


def rounded(images):
    """Floats in [0, 1] as uint8."""
    return np.rint(images * np.float32(255)).astype(np.uint8)
