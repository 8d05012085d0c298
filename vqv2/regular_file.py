"""Opening files that hold data, and nothing else that a name may stand for."""

import os
import stat

from vqv2.errors import InputError

_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class NotAFile(InputError):
    """The name stands for something else; the message is what, without the path."""


def open_regular(path):
    """The file at `path`, open for reading bytes; it is not waited for a FIFO or a device.

    Raises `OSError`, and `NotAFile` for what is no regular file.
    """
    return open(path, "rb", opener=without_waiting)


def without_waiting(path, flags):
    """The `opener` of `open` for regular files: a descriptor. Raises as `open_regular` does."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    kind = next((name for holds, name in _KINDS.items() if holds(mode)), "something else")
    raise NotAFile(f"it is {kind}, not a file")
