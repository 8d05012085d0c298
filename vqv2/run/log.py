"""The training log: one JSON object per line, cut back when a training continues from earlier."""

import json
import os
from pathlib import Path

from vqv2.errors import InputError, MissingError
from vqv2.files import atomic_write, json_lines
from vqv2.files.text import Each, Number, Table, Text, Whole

_REMEDY = "remove it, and give the command again"
_LINE = Table(
    {"step": Whole(), "split": Text()},
    maybe={"warning": Text(), "changed": Each(Table({"from": None, "to": None}))},
    others=Number(finite=False),  # without held-out images their loss is NaN
)


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

    path = ""  # where nothing has been written, either

    def write(self, **values):
        """Nothing."""


def change_in_words(changed):
    """{field: {"from": former value, "to": value now}} of a log line in words."""
    return ", ".join(f"{n} is {one['to']}, no longer {one['from']}" for n, one in changed.items())


def read_log(path):
    """The lines of a log as dictionaries; damaged and unfinished lines are left out.

    Raises `InputError` for what cannot be read at all, and is no file.
    """
    try:
        return [line for line in json_lines(path, _REMEDY) if _is_line(line)]
    except MissingError:
        return []


def _is_line(line):
    """Whether `Log` could have written it."""
    try:
        _LINE.check(line)
    except ValueError:
        return False
    return True
