"""Checks of e02."""

import numpy as np

from examples.exercises.checking import Wrong, kind, same, tensor, unchanged
from examples.exercises.e02_own_operation import solution
from vqv2 import Tensor, differentiable


def check_bump(answer, rng):
    """Task 1: the output is the formula's, and both gradients are its derivatives."""
    x = Tensor(rng.uniform(-2, 2, (3, 4)), requires_grad=True)
    width = Tensor(np.array(rng.uniform(0.5, 2)), requires_grad=True)
    y = unchanged([x.array, width.array], lambda *_: answer.bump(x, width), "bump")
    if isinstance(y, tuple):
        raise Wrong("bump returned a tuple: keep the line @differentiable above it")
    scaled = x.array / width.array
    right = np.exp(-(scaled**2) / 2)
    mistakes = {
        "1 / 2 is forgotten": np.exp(-(scaled**2)),
        "the width is not squared": np.exp(-(x.array**2) / width.array / 2),
    }
    same(tensor(y, "what comes out").array, right, "y", mistakes=mistakes)
    cotangent = rng.standard_normal(y.shape)
    y.backward(cotangent)
    for leaf, name in ((x, "x"), (width, "width")):
        if leaf.grad is None:
            raise Wrong(f"{name} gets no gradient: neither of the two is a constant")
    by_x, by_width = -right * scaled / width.array, right * scaled**2 / width.array
    same(x.grad, cotangent * by_x, "dL/dx", mistakes={"the cotangent is left out": by_x})
    same(width.grad, (cotangent * by_width).sum(), "dL/dwidth",
         mistakes={"the mean is taken, not the sum": (cotangent * by_width).mean()})  # fmt: skip


def check_rate(answer, rng):
    """Task 2: the two-sided rate, to the digits that a step of this size allows."""
    x, direction, cotangent = rng.standard_normal((3, 5))
    for step in (0.5, 1e-3):
        above, below = np.sin(x + step * direction), np.sin(x - step * direction)
        right = ((above - below) * cotangent).sum() / (2 * step)
        mistakes = {
            "only one side is nudged": ((above - np.sin(x)) * cotangent).sum() / step,
            "the rate is divided by the step, not by twice the step": 2 * right,
            "the cotangent is left out": (above - below).sum() / (2 * step),
        }
        got = unchanged(
            [x, direction, cotangent],
            lambda *a, h=step: answer.nudged_rate(np.sin, *a, h),
            "nudged_rate",
        )
        same(got, right, f"for sin and step {step}, the rate", mistakes=mistakes)


def check_verdict(answer, rng):
    """Task 3: right gradients are accepted and wrong ones are found, however well they hide."""
    x = rng.uniform(0.5, 1.5, 12)
    one = np.zeros(12)
    one[int(rng.integers(12))] = 0.05
    zero_sum = rng.permutation([0.05, -0.05] * 6)
    gradients = {
        "the right gradient of sin": (True, lambda x, dy: dy * np.cos(x)),
        "a gradient that is 1.001 times too large": (False, lambda x, dy: 1.001 * dy * np.cos(x)),
        "a gradient that ignores the cotangent": (False, lambda x, dy: np.cos(x)),
        "a gradient that is zero": (False, lambda x, dy: 0 * dy),
        "a gradient that is wrong for one number": (False, lambda x, dy: dy * (np.cos(x) + one)),
        "a gradient whose errors sum up to zero": (False, lambda x, dy: dy * np.cos(x) + zero_sum),
    }
    for words, (right, gradient) in gradients.items():
        verdicts = [answer.is_right(np.sin, gradient, x.copy(), rng) for _ in range(3)]
        for verdict in verdicts:
            if not isinstance(verdict, bool | np.bool_):
                raise Wrong(f"is_right returned {kind(verdict)}, not True or False")
        # A direction may miss an error by chance, but hardly twice.
        if sum(verdicts) < 3 if right else sum(verdicts) > 1:
            raise Wrong(f"{words} is {'refused' if right else 'accepted'}")


@differentiable
def _constant_width(x, width):
    y = np.exp(-((x / width) ** 2) / 2)
    return y, lambda dy: (-dy * y * x / width**2, None)


@differentiable
def _mean_for_width(x, width):
    y = np.exp(-((x / width) ** 2) / 2)
    return y, lambda dy: (-dy * y * x / width**2, (dy * y * x**2 / width**3).mean())


@differentiable
def _uphill(x, width):
    y = np.exp(-((x / width) ** 2) / 2)
    return y, lambda dy: (dy * y * x / width**2, (dy * y * x**2 / width**3).sum())


def _one_sided(function, x, direction, cotangent, step):
    return ((function(x + step * direction) - function(x)) * cotangent).sum() / step


def _with_ones(function, gradient, x, rng):
    ones = np.ones_like(x)
    rate = solution.nudged_rate(function, x, ones, ones, 1e-5)
    return bool(abs((gradient(x, ones)).sum() - rate) < 1e-6)


def _tolerant(function, gradient, x, rng):
    direction, cotangent = rng.standard_normal((2, *x.shape))
    rate = solution.nudged_rate(function, x, direction, cotangent, 1e-5)
    return bool(abs((gradient(x, cotangent) * direction).sum() - rate) < 0.1)


def _tiny_step(function, gradient, x, rng):
    direction, cotangent = rng.standard_normal((2, *x.shape))
    rate = solution.nudged_rate(function, x, direction, cotangent, 1e-15)
    return bool(abs((gradient(x, cotangent) * direction).sum() - rate) < 1e-6 * abs(rate))


CHECKS = [check_bump, check_rate, check_verdict]
MUTANTS = {
    "the width is a constant": {"bump": _constant_width},
    "the mean for the width": {"bump": _mean_for_width},
    "a sign": {"bump": _uphill},
    "one-sided": {"nudged_rate": _one_sided},
    "twice the rate": {"nudged_rate": lambda *a: 2 * solution.nudged_rate(*a)},
    "ones for direction and cotangent": {"is_right": _with_ones},
    "too tolerant": {"is_right": _tolerant},
    "a step of rounding errors": {"is_right": _tiny_step},
    "always right": {"is_right": lambda *a: True},
}
