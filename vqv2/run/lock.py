"""One process at a time works in a folder."""

import contextlib
from pathlib import Path

from vqv2.errors import InputError
from vqv2.files import make_folder

try:
    import fcntl
except ImportError:  # Windows: nothing stops a second process there
    fcntl = None


@contextlib.contextmanager
def locked(folder):
    """Inside, `folder` is this process's; it is made where there is none.

    The system takes the lock back when the process ends, however it ends. Raises `InputError`
    while another process has the folder, or when nothing can be written there.
    """
    path = Path(folder) / ".lock"
    make_folder(folder)
    try:
        path.touch()
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror}") from None
    with open(path, "r+") as file:  # some systems lock only what may be written
        if not _lock(file):
            raise InputError(f"another process works in {folder}: wait for it or end it first")
        yield


def is_locked(folder):
    """Whether a process works in `folder` now."""
    try:
        with open(Path(folder) / ".lock", "r+") as file:
            return not _lock(file, shared=True)  # who only looks does not disturb others who do
    except OSError:
        return False


def check_unlocked(folder, problem):
    """Raise `InputError`, a sentence that begins with `problem`, while a process works there."""
    if is_locked(folder):
        raise InputError(f"{problem}: wait for the process that does it, or end it first")


def _lock(file, shared=False):
    """Whether `file` could be locked, or cannot be on this system, until it is closed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
