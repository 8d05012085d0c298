"""Samples in batches: which are drawn side by side, and by which process."""

import math

import numpy as np


def batch_size(count, batch, communicator):
    """How many of `count` samples a process draws side by side: `batch`, or an equal share."""
    return min(batch, math.ceil(count / communicator.size))


def draw_in_turns(draw, count, batch, sizes, communicator, first=0):
    """Yield (slice, codes {level: (n, size, size) int64}) of samples `first` to `count`, in order.

    draw    called with a slice of them: its codes {level: (n, size, size)}
    sizes   {level: size}

    The processes of a `communicator` draw a batch each, and all get the codes of all of them.
    """
    together = batch * communicator.size
    for start in range(first, count, together):
        stop = min(start + together, count)
        codes = {level: np.zeros((stop - start, s, s), np.int64) for level, s in sizes.items()}
        own = start + communicator.rank * batch
        if own < stop:
            places = slice(own, min(own + batch, stop))
            for level, drawn in draw(places).items():
                codes[level][own - start : own - start + batch] = drawn
        yield slice(start, stop), {level: communicator.all_reduce(c) for level, c in codes.items()}
