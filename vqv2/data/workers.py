"""Worker processes: functions called elsewhere, in order, with bounded memory."""

import contextlib
import functools
import itertools
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

from backends.process.threads import cores
from vqv2.data.message import PLACE, await_message, receive, send
from vqv2.data.readers import in_order
from vqv2.errors import InputError

MOST = 8  # worker processes that are started unless more are asked for
PATIENCE = 5  # seconds for a worker to end by itself
SILENCE = 600  # seconds without an answer, after which a worker hangs


class WorkerDied(InputError):
    """A worker process ended in the middle of a call, and another one did so, too."""


class WorkerHung(InputError):
    """A worker process has not answered a request for `SILENCE` seconds."""


def automatic_count():
    """How many workers to use: a core is left for what the images are for; at most `MOST`."""
    return max(1, min(MOST, cores() - 1))


def check_count(workers):
    """Raise `InputError` for fewer than 0 workers; None leaves their number open."""
    if workers is not None and workers < 0:
        raise InputError(f"{workers} workers are less than none: use 0 or more")


class Workers:
    """`count` processes that call functions; they start when first needed, and end with this.

    Each has one request at a time, so what is under way is bounded by their number. They are
    programs of their own (`vqv2.data.worker`): no copy of this process, no import of its main
    script. When this process is gone, for whatever reason, they end; Ctrl-C reaches this process
    only.
    """

    def __init__(self, count):
        if count < 1:
            raise InputError(f"{count} worker processes make no sense: use 1 or more")
        self.count = count
        self._workers = [_Worker() for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)  # one waits for each worker's replies
        self._idle = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self.close = weakref.finalize(self, _stop, self._threads, self._workers)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def map(self, function, calls, what, together=1):
        """Iterator over `function(*arguments)` for each of `calls`, in order.

        `function` is one that can be imported; `what(*arguments)` says what a call is about. A
        request to a worker has `together` calls; at most 2 `count` requests are not taken yet.
        Exceptions come out as they are. A worker that dies is replaced and its request repeated,
        with a `RuntimeWarning`; after another death `WorkerDied` is raised. One that hangs is
        ended, and `WorkerHung` raised (not on Windows: there it is waited for).
        """
        request = functools.partial(_request, self._idle, function, what)
        ahead = 2 * self.count - 1
        with contextlib.closing(
            in_order(self._threads, request, _grouped(calls, together), ahead)
        ) as answers:
            for results in answers:
                yield from results


def _request(idle, function, what, calls):
    """[result of each of the calls], by one of the workers in the queue `idle`.

    The thread that waits here holds no `Workers`: dropped in it, they would wait for the thread.
    """
    worker = idle.get()
    try:
        try:
            return worker.answers(function, calls)
        except _Death as death:
            warnings.warn(
                f"a worker process {death.how} while {what(*death.arguments)}; another one "
                "tries again",
                RuntimeWarning,
                stacklevel=1,
            )
            return worker.answers(function, calls)
    except _Hang as hang:
        raise WorkerHung(
            f"a worker process gave no sign for {SILENCE} s while {what(*hang.arguments)}, and "
            f"{hang.how}: look at that file, and at the disk or network that it is on"
        ) from None
    except _Death as death:
        raise WorkerDied(
            "two worker processes, one after the other, ended while "
            f"{what(*death.arguments)}: the second {death.how}; check that file and the "
            "machine's memory, or use fewer --workers"
        ) from None
    finally:
        idle.put(worker)


def _grouped(calls, together):
    calls = iter(calls)
    while group := list(itertools.islice(calls, together)):
        yield group


class _NoReply(Exception):
    """No reply came to the call with these `arguments`; `how` the worker process ended."""

    def __init__(self, arguments, how):
        super().__init__()
        self.arguments = arguments
        self.how = how


class _Hang(_NoReply):
    """It was ended, having taken too long."""


class _Death(_NoReply):
    """It ended by itself: "was killed by SIGKILL"."""


class _Worker:
    """One worker process, started by its first call and again after its death."""

    def __init__(self):
        self.process = self._note = None
        self._lock = threading.Lock()

    def answers(self, function, calls):
        """[`function(*arguments)` for each of `calls`], made in the process.

        Raises `_Death`, `_Hang`, or what the function raises.
        """
        with self._lock:
            if self.process is None:
                self._start()
            try:
                send(self.process.stdin, (function, calls))
                await_message(self.process.stdout, SILENCE)
                good, value = receive(self.process.stdout)
            except TimeoutError:
                raise _Hang(self._call_of(calls), self.stop(patience=0)) from None
            except (EOFError, OSError):
                raise _Death(self._call_of(calls), self.stop()) from None
        if good:
            return value
        raise value

    def _start(self):
        self._note = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
        self._note.truncate(PLACE.size)
        self.process = _start_process(self._note.fileno())

    def _call_of(self, calls):
        """The one of the calls that the process has begun last; the first where it cannot say."""
        self._note.seek(0)
        return calls[PLACE.unpack(self._note.read())[0]]

    def stop(self, patience=PATIENCE):
        """End the process, if there is one, leaving no zombie; how it ended, in words.

        It has so many seconds to do it by itself.
        """
        process, self.process = self.process, None
        if process is None:
            return "was not there"
        for pipe in (process.stdin, process.stdout, self._note):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            status = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            status = _status(process)
        return _words(status)


def _status(process):
    """Of a process that was killed; None for one that a disk keeps even from that."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return None


def _start_process(note):
    """A worker process that notes in the file `note` which call it makes, where that can be."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # Its parallelism is that there are several of it.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    command, apart = [sys.executable, "-m", "vqv2.data.worker"], {}
    if os.name == "posix":
        command.append(str(note))
        apart = {"process_group": 0, "pass_fds": (note,)}  # out of Ctrl-C's reach
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        **apart,
    )


def _words(status):
    if status is None:
        return "cannot be ended"
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _stop(threads, workers):
    threads.shutdown(cancel_futures=True)
    for worker in workers:
        worker.stop()
