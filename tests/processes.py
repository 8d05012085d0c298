"""Processes that a test starts: they end with it, whatever happens, and nobody waits for ever."""

import contextlib
import os
import signal
import subprocess
import sys
import time

LONG = 240.0  # seconds; what takes longer, also on a machine that is busy with other things, hangs


@contextlib.contextmanager
def started(command, **settings):
    """A `subprocess.Popen` of a command, its output in pipes as text; afterwards it is gone.

    What it has started itself has to end with it, as workers and the processes of `mpiexec` do.
    Ctrl-C works in it, also where a shell has the tests ignore that.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    former = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what is ignored is inherited
    try:
        process = subprocess.Popen(list(map(str, command)), **{**pipes, **settings})
    finally:
        signal.signal(signal.SIGINT, former)
    with process:
        try:
            yield process
        finally:
            process.kill()


def finish(process, seconds=LONG):
    """(status, standard output, standard error) of what was `started`; a hang is an error."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still running after {seconds} s: {process.args}") from None
    return process.returncode, output, errors


def await_moment(process, is_time, interval=0.02):
    """Return as soon as `is_time()` says so, or the process has ended; whether it has not.

    A moment that does not come is an error.
    """
    end = time.monotonic() + LONG
    while process.poll() is None and not is_time():
        assert time.monotonic() < end, f"what was waited for has not come: {process.args}"
        time.sleep(interval)
    return process.poll() is None


def is_running(process):
    """Whether there is a process of this number, and no zombie."""
    try:
        os.kill(process, 0)
        if sys.platform != "linux":
            return True
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def is_gone(process, seconds=LONG):
    """Whether a process of this number ends by then, if it has not yet."""
    end = time.monotonic() + seconds
    while is_running(process) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(process)
