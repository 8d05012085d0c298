"""Opening files that hold data, the one sentence for whatever goes wrong, and checksums."""

import contextlib
import errno
import hashlib
import json
import lzma
import os
import reprlib
import stat
import struct
import zipfile
import zlib

from vqv2.errors import DamagedError, InputError, MissingError

# What the parsers of the standard library, and ours, raise for contents that they cannot read.
_CONTENTS = (
    EOFError,
    OverflowError,
    RuntimeError,  # an archive that is encrypted, or compressed in a way that Python lacks
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
_SHOWN = 200  # letters of what a parser says
_BLOCK = 10**6  # bytes of a file that are summed up at a time
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60


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


@contextlib.contextmanager
def reading(path, remedy, mode="rb"):
    """Context manager: the open file at `path`; what goes wrong inside becomes one sentence.

    `remedy` ends the sentence: what to do when the contents are not what they should be. Raises
    `MissingError` where there is no file, `DamagedError` for its contents and for a bad spot on the
    disk, and `InputError` for what may not be read, or is a folder, a FIFO, a socket or a device:
    nothing is waited for.
    """
    try:
        with open(path, mode, opener=without_waiting) as file:
            yield file
    except NotAFile as error:
        raise InputError(f"{path} cannot be read: {error}; put the file in its place") from None
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{path} cannot be read: No such file") from None
    except OSError as error:
        if error.errno in (None, errno.EIO):  # without a number it is a parser's
            raise DamagedError(_sentence(path, error, remedy)) from None
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except _CONTENTS as error:
        raise DamagedError(_sentence(path, error, remedy)) from None


def content_of(path, remedy, largest):
    """The bytes of a file of at most `largest` bytes. Raises as `reading` does."""
    with reading(path, remedy) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"it has {size} bytes, more than {largest}")
        return file.read(largest)


def shown(value):
    """A foreign value for a sentence, as `repr`, but short however long it is."""
    return _repr.repr(value)


def shortened(sentence):
    """The beginning of what a parser says, which may repeat all that it has read."""
    line = sentence.partition("\n")[0]
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def _sentence(path, error, remedy):
    reason = shortened(str(error)) or type(error).__name__
    return f"{path} cannot be read, it is damaged or something else ({reason}): {remedy}"


def seal(manifest):
    """SHA-256 (hexadecimal) of a manifest without its checksum."""
    content = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_checksum(path, remedy, block_read=lambda: None):
    """SHA-256 (hexadecimal) of a file's contents; `block_read()` is called for every megabyte.

    Raises as `vqv2.files.reading` does.
    """
    digest = hashlib.sha256()
    with reading(path, remedy) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            block_read()
    return digest.hexdigest()
