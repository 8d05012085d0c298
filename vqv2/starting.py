"""Ctrl-C in the first seconds of the command, while NumPy, Numba and all of vqv2 are imported.

Nothing is half done then, so the process may end at once: quietly, with the status of a command
that was interrupted. Importing this, which `vqv2/__init__.py` does first of all, begins that, and
`vqv2.cli.main` ends it. A program that imports vqv2 keeps its own handling of signals.
"""

import os
import signal
import sys

STATUS = 128 + signal.SIGINT


def be_interrupted():
    """From now on Ctrl-C is an exception again, so that what is half done is cleared up."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_the_command():
    """Whether Python was started as `vqv2 ...` or `python -m vqv2 ...`."""
    if sys.argv[0] == "-m":  # so it is while the package of a module that is run is imported
        return not {"vqv2", "-mvqv2"}.isdisjoint(sys.orig_argv)
    return os.path.basename(sys.argv[0]) in ("vqv2", "vqv2.exe", "vqv2-script.py")


def _leave(number, frame):
    os.write(2, b"vqv2: interrupted\n")
    os._exit(STATUS)


# The shell has Ctrl-C ignored by what a script runs in the background: that stays so.
if _is_the_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)
