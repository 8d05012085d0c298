"""The training log: one JSON object per line, cut back when a training continues from earlier."""

import json
import os
from pathlib import Path

from vqv2.errors import InputError
from vqv2.files import atomic_write


class Log:
    """Appends to `path`. Lines after step `last_step`, from before an interruption, are dropped."""

    def __init__(self, path, last_step=0):
        self.path = Path(path)
        kept = [line for line in read_log(path) if line["step"] <= last_step]
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def write(self, **values):
        """Add one line. Raises `InputError` when the disk does not take it."""
        self._append(json.dumps(values) + "\n")

    def flush(self):
        """Have everything on the disk: to be called before a checkpoint says it is there."""
        self._append("", flush=True)

    def _append(self, text, flush=False):
        try:
            with open(self.path, "a") as file:
                file.write(text)
                if flush:
                    os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from None


class NoLog:
    """The log of a process that leaves writing to another one."""

    path = os.devnull  # where nothing has been written, either

    def write(self, **values):
        """Nothing."""


def change_in_words(changed):
    """{field: [former value, value now]} of a log line in words."""
    return ", ".join(f"{name} is {now}, no longer {was}" for name, (was, now) in changed.items())


def read_log(path):
    """The lines of a log as dictionaries; damaged and unfinished lines are left out."""
    if not Path(path).exists():
        return []
    texts = Path(path).read_text(errors="replace").splitlines()
    return [line for line in map(_parse, texts) if line]


def _parse(text):
    """A line as a dictionary; None unless it is one that `Log` could have written."""
    try:
        line = json.loads(text)
        return line if line["step"] >= 0 and line["split"] else None
    except (ValueError, TypeError, KeyError):
        return None  # for one, the line that was being written when the program was ended
