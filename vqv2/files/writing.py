"""Writing files so that a failure never costs the file that was there before."""

import contextlib
import glob
import json
import math
import os
import shutil
import time
from pathlib import Path

from vqv2.errors import InputError

ABANDONED = 3600  # seconds without a change, after which a temporary file is nobody's any more


@contextlib.contextmanager
def atomic_write(path):
    """Context manager: yields a temporary `Path` in the same folder to write the contents to.

    When the block ends, the file is flushed to the disk and takes the place of `path`, which the
    folder is made to remember, too; when it raises, the temporary file is removed and `path` is
    untouched. Folders are made as needed.
    What a killed process left of an earlier attempt goes, too, when it is an hour old.
    An `OSError` (no space, no permission) becomes an `InputError` that names `path`.
    """
    path = _file(path)
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; nothing was overwritten"
        ) from error


def write_json(path, content):
    """Write `content` as JSON text to `path` with `atomic_write`.

    Numbers that are infinite or NaN become null: JSON has none, and other programs read no file
    with them.
    """
    text = json.dumps(_finite(content), indent=1, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n")


def _finite(content):
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def link(source, target):
    """Make `target` another name of the file `source`, instead of what `target` was before.

    Where the file system knows no second names it becomes a copy. Raises `InputError`.
    """
    with atomic_write(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def remove_partial(folder):
    """Remove what killed processes left of files in `folder` that nobody else writes now."""
    for path in Path(folder).glob(".*.partial"):
        _remove(path)


def check_writable(path, endings=()):
    """Raise `InputError` when `atomic_write` could not write to `path`; changes nothing.

    For work that is long and written at its end. A disk that is full is not noticed. Where there
    are `endings`, such as ".png", the name must have one of them, in capitals or not: nothing else
    is known of what is to be written.
    """
    path = _file(path)
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    _check_length(path, folder)
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
    if endings and path.suffix.lower() not in endings:
        raise InputError(f"cannot write {path}: the name must end in {' or '.join(endings)}")
    if folder.is_symlink() and not folder.exists():
        raise InputError(f"cannot write {path}: {folder} is {_NOWHERE}")
    if not folder.is_dir():
        raise InputError(f"cannot write {path}: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {path}: writing in the folder {folder} is not permitted")


def make_folder(folder):
    """Make a folder, and those it lies in, where there is none. Raises `InputError`."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        for parent in (folder, *folder.parents):
            if os.path.islink(parent) and not os.path.exists(parent):
                reason = f"{parent} is {_NOWHERE}"
            elif os.path.isfile(parent):
                reason = f"{parent} is a file, not a folder"
        raise InputError(f"cannot write in {folder}: {reason}") from None


_NOWHERE = "a link that leads nowhere: make the folder that it links to"


def _file(path):
    if not Path(path).name:
        raise InputError(f"cannot write '{path}': it names no file")
    if str(path).endswith(("/", os.sep)):
        raise InputError(f"cannot write {path}: that is the name of a folder; give that of a file")
    if "\0" in str(path):
        raise InputError(f"cannot write {str(path)!r}: there is a zero byte in it")
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is a device or a FIFO, no file")
    return Path(path)


def _temporary(path):
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _check_length(path, folder):
    """Raise `InputError` unless `folder` takes names as long as those that are to be written."""
    try:
        longest, whole = (os.pathconf(folder, name) for name in ("PC_NAME_MAX", "PC_PATH_MAX"))
    except (AttributeError, OSError, ValueError):  # not every system can be asked
        return
    written = _temporary(path.absolute())
    names = written.relative_to(folder).parts
    if max(len(os.fsencode(name)) for name in names) > longest:
        raise InputError(f"cannot write {path}: the name is too long, choose a shorter one")
    if len(os.fsencode(written)) >= whole:
        raise InputError(f"cannot write {path}: the path is too long, choose a shorter one")


def _flush_folder(folder):
    """Have the disk remember which files a folder holds: after a power cut the new one is there."""
    # Some systems cannot do it, or not for folders; the file itself is complete either way.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_abandoned(path):
    # Others may be writing the same file now: only time tells what has been left behind.
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - other.stat().st_mtime > ABANDONED:
                _remove(other)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
