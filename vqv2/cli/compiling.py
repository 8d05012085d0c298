"""What a command says while kernels are compiled, which it would otherwise do in silence."""

import contextlib
import math
import sys
import time

from tqdm import tqdm

from backends import compilation_counts, compilation_seconds, surround_compilations
from vqv2.terminal import SECONDS_BETWEEN_LINES, beneath

UNNOTICED_SECONDS = 2  # of compiling, after which a log file says it as well


@contextlib.contextmanager
def compilation_shown():
    """Context manager: inside, a line on standard error says that kernels are compiled.

    On a terminal it stays beneath all bars while one is compiled; a log file gets a line after two
    seconds of compiling, and one now and then.
    """
    with surround_compilations(_Line().shown):
        yield


class _Line:
    """It says how many kernels this process has compiled, the one that begins included.

    How many there will be nobody knows: that depends on what is computed.
    """

    def __init__(self):
        self._last = -math.inf

    @contextlib.contextmanager
    def shown(self):
        """Context manager: inside, one kernel is compiled."""
        text = f"compiling kernels, once: {compilation_counts()[0]}"
        file = beneath(sys.stderr)
        if sys.stderr.isatty():
            with tqdm(bar_format=text, leave=False, file=file):
                yield
        else:
            if self._is_time():
                tqdm.write(text, file=file)
            yield

    def _is_time(self):
        noticed, now = compilation_seconds() > UNNOTICED_SECONDS, time.monotonic()
        if not noticed or now < self._last + SECONDS_BETWEEN_LINES:
            return False
        self._last = now
        return True
