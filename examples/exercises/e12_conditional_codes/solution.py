"""One answer to e12."""

import numpy as np


def above(top):
    """Each code over its 2x2 places."""
    return top.repeat(2, axis=1).repeat(2, axis=2)


def conditional_table(top, bottom, top_size, bottom_size):
    """Pairs counted, rows divided by their sums."""
    counts = np.ones((top_size, bottom_size))
    np.add.at(counts, (above(top), bottom), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def nats(table, top, bottom):
    """Mean surprise."""
    return -np.log(table[above(top), bottom]).mean()
