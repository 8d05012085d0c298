"""Worker processes: functions called elsewhere, in order, with bounded memory."""

import contextlib
import functools
import os
import queue
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

from backends.threads import cores
from vqv2.data.message import receive, send
from vqv2.data.prefetch import in_order
from vqv2.errors import InputError

MOST = 8  # worker processes that are started unless more are asked for
PATIENCE = 5  # seconds for a worker to end by itself


class WorkerDied(InputError):
    """A worker process ended in the middle of a call, and another one did so, too."""


def automatic_count():
    """How many workers to use: a core is left for what the images are for; at most `MOST`."""
    return max(1, min(MOST, cores() - 1))


class Workers:
    """`count` processes that call functions; they start when first needed, and end with this.

    Each has one call at a time, so what is under way is bounded by their number. They are programs
    of their own (`vqv2.data.worker`): no copy of this process, no import of its main script. When
    this process is gone, for whatever reason, they end; Ctrl-C reaches this process only.
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

    def map(self, function, calls, what):
        """Iterator over `function(*arguments)` for each of `calls`, in order.

        `function` is one that can be imported; `what(*arguments)` says what a call is about. At
        most 2 `count` results wait. Exceptions come out as they are. A worker that dies is replaced
        and its call repeated, with a `RuntimeWarning`; after another death `WorkerDied` is raised.
        """
        call = functools.partial(self._call, function, what)
        return in_order(self._threads, call, calls, 2 * self.count - 1)

    def _call(self, function, what, arguments):
        worker = self._idle.get()
        try:
            try:
                return worker.call(function, arguments)
            except _Death as death:
                warnings.warn(
                    f"a worker process {death} while {what(*arguments)}; another one tries again",
                    RuntimeWarning,
                    stacklevel=1,
                )
                return worker.call(function, arguments)
        except _Death as death:
            raise WorkerDied(
                f"two worker processes, one after the other, ended while {what(*arguments)}: the "
                f"second {death}; check that file and the machine's memory, or use fewer --workers"
            ) from None
        finally:
            self._idle.put(worker)


class _Death(Exception):
    """How a worker process ended: "was killed by SIGKILL"."""


class _Worker:
    """One worker process, started by its first call and again after its death."""

    def __init__(self):
        self.process = None
        self._lock = threading.Lock()

    def call(self, function, arguments):
        """`function(*arguments)` in the process. Raises `_Death`, or what the function raises."""
        with self._lock:
            self.process = self.process or _start_process()
            try:
                send(self.process.stdin, (function, arguments))
                good, value = receive(self.process.stdout)
            except (EOFError, OSError):
                raise _Death(self.stop()) from None
        if good:
            return value
        raise value

    def stop(self):
        """End the process, if there is one, leaving no zombie; how it ended, in words."""
        process, self.process = self.process, None
        if process is None:
            return "was not there"
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        return _words(status)


def _start_process():
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # Its parallelism is that there are several of it.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    apart = {"process_group": 0} if os.name == "posix" else {}  # out of Ctrl-C's reach
    return subprocess.Popen(
        [sys.executable, "-m", "vqv2.data.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        **apart,
    )


def _words(status):
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
