"""Who reads images, worker processes or threads of this one, and how far ahead."""

import collections
import os
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

AHEAD = 2  # batches
THREADS = min(16, os.cpu_count() or 1)
_IMAGES_PER_REQUEST = 8  # at most, to a worker


def map_images(workers, function, calls, count):
    """Iterator over `function(place, ...)` for each of `count` calls, in order.

    `place` is what is read, text. `workers` are `vqv2.data.workers.Workers`, None for threads.
    """
    if workers is not None:
        # Few enough that all workers have the same to do, but not one for each tiny image.
        together = max(1, min(_IMAGES_PER_REQUEST, count // (4 * workers.count)))
        yield from workers.map(function, calls, _reading, together)
        return
    Image.init()  # loads the formats once, not in every thread
    with ThreadPoolExecutor(THREADS) as threads:
        yield from in_order(threads, lambda call: function(*call), calls, 2 * THREADS)


def readers(workers):
    """Who reads the images, in words; `workers` as in `map_images`."""
    if workers is None:
        return f"{THREADS} threads of this process"
    return f"{workers.count} worker processes"


def _reading(place, *_):
    return f"reading {place}"


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
