"""Ending a training when it is told to: Ctrl-C (SIGINT) and SIGTERM, which schedulers send."""

import contextlib
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The program was told to end, and has put its work in order; `number` is the signal."""

    def __init__(self, message, number):
        super().__init__(message)
        self.number = number


class Interruption:
    """Whether a signal has come, and which."""

    number = None

    def __bool__(self):
        return self.number is not None


@contextlib.contextmanager
def interruption():
    """Yields an `Interruption` that a signal sets instead of breaking into the middle of a step.

    A second signal ends the program at once. Outside the main thread nothing is changed, nor for a
    signal that the process was started to ignore, as the shell does with Ctrl-C for what a script
    runs in the background.
    """
    state = Interruption()

    def handle(number, frame):
        if state:
            raise Stopped("stopped at once: the last checkpoint is where to go on", number)
        state.number = number

    with _handled_by(handle):
        yield state


@contextlib.contextmanager
def terminable():
    """Inside, SIGTERM is an exception as Ctrl-C is one, so that what is half done is cleared up."""

    def handle(number, frame):
        raise Stopped("terminated", number)

    with _handled_by(handle, (signal.SIGTERM,)):
        yield


@contextlib.contextmanager
def _handled_by(handle, numbers=SIGNALS):
    former = {}
    if threading.current_thread() is threading.main_thread():
        former = {number: signal.getsignal(number) for number in numbers}
    former = {n: h for n, h in former.items() if h not in (None, signal.SIG_IGN)}
    for number in former:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
