"""Checks of e01."""

import numpy as np

from examples.exercises.checking import gradient_is_right, nudged, same, unchanged
from examples.exercises.e01_broadcasting import solution

SHAPES = [((3, 4), (3, 4)), ((4,), (3, 4)), ((3, 1), (3, 4)), ((1, 4), (2, 3, 4)), ((), (2, 3)),
          ((2, 1, 4), (2, 3, 4)), ((1, 1), (1, 5)), ((1,), (1,))]  # fmt: skip


def slow(cotangent, shape):
    """The cotangent of every copy is added to that of the element it was made from."""
    result = np.zeros(shape)
    for index, value in np.ndenumerate(cotangent):
        home = index[len(index) - len(shape) :]
        result[tuple(i if n > 1 else 0 for i, n in zip(home, shape, strict=True))] += value
    return result


def check_undo(answer, rng):
    """Task 1: the cotangents of all copies are added up, for all kinds of stretching."""
    for shape, stretched in SHAPES:
        cotangent = rng.standard_normal(stretched)
        got = unchanged([cotangent], lambda c, s=shape: answer.undo_broadcasting(c, s), "task 1")
        same(got, slow(cotangent, shape), f"the cotangent of {shape} stretched to {stretched}")


def check_multiply(answer, rng):
    """Task 2: the gradients of a product agree with nudging, and are no nudging themselves."""
    for one, other in [((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3), (2, 3)), ((), (3,))]:
        a, b = (rng.integers(-9, 10, shape) * 1.0 for shape in (one, other))  # products are exact
        gradient_is_right(
            np.multiply,
            lambda dy, a=a, b=b: answer.multiply_gradients(a, b, dy),
            [a, b],
            rng,
            "multiply_gradients",
            ["a", "b"],
            exact=lambda dy, a=a, b=b: solution.multiply_gradients(a, b, dy),
            tolerance=1e-14,
        )


def _mean(cotangent, shape):
    return solution.undo_broadcasting(cotangent, shape) * (np.prod(shape) / max(1, cotangent.size))


def _front_only(cotangent, shape):
    extra = cotangent.ndim - len(shape)
    return cotangent.sum(axis=tuple(range(extra)))


def _nudged(a, b, cotangent):
    return nudged(np.multiply, (a, b), cotangent)


CHECKS = [check_undo, check_multiply]
MUTANTS = {
    "zero": {"undo_broadcasting": lambda c, shape: np.zeros(shape)},
    "the mean of the copies": {"undo_broadcasting": _mean},
    "axes of length 1 stay stretched": {"undo_broadcasting": _front_only},
    "one copy instead of their sum": {
        "undo_broadcasting": lambda c, s: slow(c, s) * 0 + c.reshape(-1)[:1].sum()
    },
    "zero gradient of b": {
        "multiply_gradients": lambda a, b, dy: (
            solution.multiply_gradients(a, b, dy)[0],
            np.zeros(b.shape),
        )
    },
    "nudging instead of a formula": {"multiply_gradients": _nudged},
    "a and b exchanged": {
        "multiply_gradients": lambda a, b, dy: (
            solution.undo_broadcasting(dy * a, a.shape),
            solution.undo_broadcasting(dy * b, b.shape),
        )
    },
}
