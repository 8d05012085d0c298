"""Writing files so that a failure never costs the file that was there before."""

import contextlib
import os
from pathlib import Path

from vqv2.errors import InputError


@contextlib.contextmanager
def atomic_write(path):
    """Context manager: yields a temporary `Path` in the same folder to write the contents to.

    When the block ends, the file is flushed to the disk and takes the place of `path`; when it
    raises, the temporary file is removed and `path` is untouched. Folders are made as needed.
    An `OSError` (no space, no permission) becomes an `InputError` that names `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; nothing was overwritten"
        ) from error
