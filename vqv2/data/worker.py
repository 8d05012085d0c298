"""The program of a worker process: calls what `vqv2.data.workers` asks for, until that is gone.

Requests come from standard input, replies go to standard output (`vqv2.data.message`). It is a
program of its own rather than a copy of the process that starts it: threads, devices and the main
script of that one are not its business.
"""

import contextlib
import os
import signal

from vqv2.data.message import receive, send


def main():
    """Answer requests, (function, arguments), with (True, result) or (False, exception)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when its input does
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the replies
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            function, arguments = receive(requests)
            _answer(replies, function, arguments)
    os._exit(0)  # nothing to clean up, and nobody to complain to


def _answer(replies, function, arguments):
    try:
        reply = True, function(*arguments)
    except Exception as error:
        reply = False, error
    try:
        send(replies, reply)
    except BrokenPipeError:
        raise
    except Exception as error:  # a result or an exception that cannot be pickled
        send(replies, (False, RuntimeError(f"{reply[1]!r} could not be sent: {error}")))


if __name__ == "__main__":
    main()
