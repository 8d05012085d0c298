"""Who reads images: worker processes, or threads of this one."""

import os
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from vqv2.data.prefetch import in_order

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
