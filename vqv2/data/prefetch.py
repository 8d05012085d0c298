"""Computing ahead, but not too far: results come in order, and only so many wait to be taken."""

import collections
from concurrent.futures import ThreadPoolExecutor

AHEAD = 2  # batches


def in_order(threads, function, arguments, ahead):
    """Iterator over `function(argument)` for each of `arguments`, in order, computed by `threads`.

    At most `ahead` + 1 results are there or on their way and not taken yet: whoever is slow to take
    them slows down who makes them, and memory stays bounded. An exception comes out where its
    result would have; closing the iterator drops what has not begun.
    """
    waiting = collections.deque()
    try:
        for argument in arguments:
            waiting.append(threads.submit(function, argument))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def prefetched(function, arguments, ahead=AHEAD):
    """`in_order` with threads of its own: while one result is in use, the next ones are made.

    With `AHEAD` batches, the images of a batch need not all be there before the first images of the
    next are begun. Close it (`contextlib.closing`) when not all results are taken.
    """
    with ThreadPoolExecutor(ahead) as threads:
        yield from in_order(threads, function, arguments, ahead - 1)
