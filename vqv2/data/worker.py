"""The program of a worker process: calls what `vqv2.data.workers` asks for, until that is gone.

Requests come from standard input, replies go to standard output (`vqv2.data.message`). It is a
program of its own rather than a copy of the process that starts it: threads, devices and the main
script of that one are not its business.
"""

import contextlib
import mmap
import os
import signal
import sys

from vqv2.data.message import PLACE, receive, send
from vqv2.terminal import quieten_pillow


def main():
    """Answer requests, (function, [arguments of a call]): (True, results) or (False, exception).

    The program's argument, if it has one, is the descriptor of a file where to note the place of
    the call that is being made.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when its input does
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    note = mmap.mmap(int(sys.argv[1]), PLACE.size) if len(sys.argv) > 1 else bytearray(PLACE.size)
    quieten_pillow()
    os.dup2(2, 1)  # what a library prints must not come between the replies
    sys.stdout.reconfigure(line_buffering=True)  # nor wait for an end, which drops it
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            function, calls = receive(requests)
            _answer(replies, function, calls, note)
    os._exit(0)  # nothing to clean up, and nobody to complain to


def _answer(replies, function, calls, note):
    try:
        reply = True, [function(*arguments) for arguments in _noted(calls, note)]
    except Exception as error:
        reply = False, error
    try:
        send(replies, reply)
    except BrokenPipeError:
        raise
    except Exception as error:  # a result or an exception that cannot be pickled
        send(replies, (False, RuntimeError(f"{reply[1]!r} could not be sent: {error}")))


def _noted(calls, note):
    """The calls, one after the other, each noted for the case that it has no end."""
    for place, arguments in enumerate(calls):
        PLACE.pack_into(note, 0, place)
        yield arguments


if __name__ == "__main__":
    main()
