"""What is different when `mpiexec` started several processes of a command.

The first process speaks; the others say something only when they fail. A process that fails ends
all of them: the others may be waiting for it, and would wait for ever.
"""

import contextlib
import io
import os
import sys
import time
import traceback

from backends.process.communication import connect, end_all, launched
from vqv2.errors import InputError

FIRST_WORD = 2.0  # seconds that a failing process leaves to the first one, if that fails as well


def run(main, arguments):
    """The exit status of main(arguments), which prints its errors and returns a status."""
    rank, size = launched()
    if size == 1:
        return main(arguments)
    if rank == 0:
        status = _status(main, arguments)
    else:
        said = io.StringIO()
        with (
            open(os.devnull, "w") as nothing,
            contextlib.redirect_stdout(nothing),
            contextlib.redirect_stderr(said),
        ):
            status = _status(main, arguments)
        if status:
            time.sleep(FIRST_WORD)
            print(f"process {rank} of {size}: {said.getvalue().strip()}", file=sys.stderr)
    if status:
        end_all(status)
    return status


def _status(main, arguments):
    try:
        return main(arguments)
    except SystemExit as end:  # what the parser of arguments raises, after its message
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1


@contextlib.contextmanager
def after_the_first(communicator):
    """Inside is process 0, and then the others, which find what it has left on the disk."""
    if communicator.rank > 0:
        communicator.barrier()
    yield
    if communicator.rank == 0:
        communicator.barrier()


def communicator_for(command):
    """The communicator for a parsed command. Raises `InputError` when the command runs alone."""
    size = launched()[1]
    if size > 1 and not getattr(command, "shared", False):
        raise InputError(
            f"{size} processes were started, but only train autoencoder, train prior, encode and "
            "sample share their work: start one process"
        )
    return connect()
