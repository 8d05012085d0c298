"""What the top is worth.

After lesson 10. The smallest conditional prior there is: a table. Every place of the bottom map
lies under one place of the top map, which has half as many rows and columns. The table says how
likely each bottom code is, given the top code above it, and nothing else.
"""

import numpy as np  # noqa: F401  (you will need it)


def above(top):
    """Task 1: for every bottom place the top code above it, (N, h, w) -> (N, 2h, 2w)."""
    raise NotImplementedError("task 1: above")


def conditional_table(top, bottom, top_size, bottom_size):
    """Task 2: p(bottom code | top code above it), an array (top_size, bottom_size).

    From maps top (N, h, w) and bottom (N, 2h, 2w). As in e09 every count is taken as one more than
    it is, so that table[t, b] = (times b stands under t + 1) / (times t is above + bottom_size).
    """
    raise NotImplementedError("task 2: conditional_table")


def nats(table, top, bottom):
    """Task 3: the mean surprise, -log p, of a bottom code given the top code above it, a number."""
    raise NotImplementedError("task 3: nats")
