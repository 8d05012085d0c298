"""Checks of e12."""

import math

import numpy as np

from examples.exercises.checking import same, unchanged
from examples.exercises.e12_conditional_codes import solution

TOP, BOTTOM = 4, 6


def draw(rng):
    """(top, bottom): the bottom is the top code above it, or, one time in four, anything."""
    top = rng.integers(TOP - 1, size=(5, 2, 3))
    bottom = np.zeros((5, 4, 6), int)
    for n, i, j in np.ndindex(*bottom.shape):
        code = top[n, i // 2, j // 2]
        bottom[n, i, j] = code if rng.random() < 0.75 else rng.integers(BOTTOM)
    return top, bottom


def slow_table(top, bottom):
    """The table, a pair at a time."""
    table = np.ones((TOP, BOTTOM))
    for n, i, j in np.ndindex(*bottom.shape):
        table[top[n, i // 2, j // 2], bottom[n, i, j]] += 1
    return np.array([row / row.sum() for row in table])


def check_above(answer, rng):
    """Task 1: the top code above every bottom place."""
    top, bottom = draw(rng)
    right = np.zeros(bottom.shape, int)
    for n, i, j in np.ndindex(*bottom.shape):
        right[n, i, j] = top[n, i // 2, j // 2]
    mistakes = {"the whole map is tiled": np.tile(top, (1, 2, 2))}
    same(unchanged([top], answer.above, "above"), right, "the codes above", mistakes=mistakes)


def check_table(answer, rng):
    """Task 2: the conditional probabilities, each row adding up to 1."""
    top, bottom = draw(rng)
    right = slow_table(top, bottom)
    counts = right * (np.bincount(top.ravel(), minlength=TOP) * 4 + BOTTOM)[:, None]
    mistakes = {
        "p(top and bottom) is computed: every row has to add up to 1": counts / counts.sum(),
        "p(top | bottom) is computed, with columns that add up to 1": counts / counts.sum(axis=0),
        "pairs that occur several times count once": _once(top, bottom),
        "counts are returned, not probabilities": counts,
    }
    got = unchanged(
        [top, bottom], lambda t, b: answer.conditional_table(t, b, TOP, BOTTOM), "conditional_table"
    )
    same(got, right, "the table", mistakes=mistakes)


def check_nats(answer, rng):
    """Task 3: the mean surprise, given the top."""
    (top, bottom), table = draw(rng), rng.dirichlet(np.ones(BOTTOM), size=TOP)
    surprise = [
        -math.log(table[top[n, i // 2, j // 2], bottom[n, i, j]])
        for n, i, j in np.ndindex(*bottom.shape)
    ]
    mistakes = {
        "the logarithm has base 2: these are bits": np.mean(surprise) / math.log(2),
        "the sum is taken, not the mean": np.sum(surprise),
    }
    got = unchanged([table, top, bottom], answer.nats, "nats")
    same(got, np.mean(surprise), "the mean surprise", mistakes=mistakes)


def _once(top, bottom):
    counts = np.ones((TOP, BOTTOM))
    counts[solution.above(top), bottom] += 1
    return counts / counts.sum(axis=1, keepdims=True)


def _joint(top, bottom, top_size, bottom_size):
    counts = np.ones((top_size, bottom_size))
    np.add.at(counts, (solution.above(top), bottom), 1)
    return counts / counts.sum()


CHECKS = [check_above, check_table, check_nats]
MUTANTS = {
    "tiled": {"above": lambda top: np.tile(top, (1, 2, 2))},
    "rows only": {"above": lambda top: top.repeat(2, axis=1)},
    "joint probabilities": {"conditional_table": _joint},
    "every pair once": {"conditional_table": lambda t, b, *_: _once(t, b)},
    "the table turned": {"conditional_table": lambda *a: solution.conditional_table(*a).T},
    "bits": {"nats": lambda *a: solution.nats(*a) / math.log(2)},
    "a sum": {"nats": lambda table, t, b: solution.nats(table, t, b) * b.size},
}
