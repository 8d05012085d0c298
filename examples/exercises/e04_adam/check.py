"""Checks of e04."""

import math
import numbers

import numpy as np

from examples.exercises.checking import Wrong, same, several, unchanged
from examples.exercises.e04_adam import solution


def slow(parameter, gradients, rate, beta1, beta2, epsilon):
    """(parameter, mean, square) after a step for each gradient, one number at a time."""
    results = []
    for value, *gs in zip(parameter, *gradients, strict=True):
        mean = square = 0.0
        for t, g in enumerate(gs, start=1):
            mean = beta1 * mean + (1 - beta1) * g
            square = beta2 * square + (1 - beta2) * g * g
            m, s = mean / (1 - beta1**t), square / (1 - beta2**t)
            value -= rate * m / (math.sqrt(s) + epsilon)
        results.append((value, mean, square))
    return tuple(np.array(column) for column in zip(*results, strict=True))


def check_steps(answer, rng):
    """Task 1: some steps on gradients of very different size are the formula's."""
    settings = (0.1, float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.9, 0.99)), 1e-3)
    parameter = rng.standard_normal(4)
    gradients = rng.standard_normal((3, 4)) * [1e-3, 0.1, 1, 100]
    state = (parameter, np.zeros(4), np.zeros(4))
    rate, *others = settings
    for step in (1, 2, 3):
        former = state[0]
        state = unchanged(
            [state[0], gradients[step - 1], state[1], state[2]],
            lambda p, g, m, s, step=step: answer.adam_step(p, g, m, s, step, rate, *others),
            "adam_step",
        )
        names = ("parameter", "mean", "square")
        state = several(state, names, "adam_step")
        expected = slow(parameter, gradients[:step], *settings)
        for i, (got, right, name) in enumerate(zip(state, expected, names, strict=True)):
            if i:
                debiased = right / (1 - others[i - 1] ** step)
                mistakes = {"the debiased average is returned: it is not what is kept": debiased}
            else:
                mistakes = updates(former, *expected[1:], step, *settings)
            same(got, right, f"after step {step}, the {name}", mistakes=mistakes)


def updates(parameter, mean, square, step, rate, beta1, beta2, epsilon):
    """What the usual mistakes make of a parameter."""
    m, s = mean / (1 - beta1**step), square / (1 - beta2**step)
    return {
        "the averages are not debiased": parameter - rate * mean / (np.sqrt(square) + epsilon),
        "only the mean is debiased": parameter - rate * m / (np.sqrt(square) + epsilon),
        "epsilon is added inside the root": parameter - rate * m / np.sqrt(s + epsilon),
        "the parameter moves up the gradient, by +": parameter + rate * m / (np.sqrt(s) + epsilon),
        "the root is forgotten": parameter - rate * m / (s + epsilon),
    }


def check_rate(answer, rng):
    """Task 2: the rate is the formula's, while it rises and while it falls."""
    for warmup in (100, 16000):
        for step in (1, 10, warmup, 3 * warmup, 100 * warmup):
            hidden, scale = int(rng.integers(16, 512)), float(rng.uniform(0.1, 0.4))
            rise, fall = step / warmup**1.5, 1 / step**0.35
            expected = scale / math.sqrt(hidden) * (rise if rise < fall else fall)
            got = answer.learning_rate(step, hidden, scale, warmup)
            mistakes = {
                "h^-0.5 is forgotten": expected * math.sqrt(hidden),
                "the scale is forgotten": expected / scale,
                "the larger branch is taken, max for min": expected / min(rise, fall)
                * max(rise, fall),
            }  # fmt: skip
            what = f"the rate of step {step} with {warmup} warm-up steps"
            same(got, expected, what, mistakes=mistakes)


WARMUPS = (16000, 104, 803)  # rounding down, up, and to the nearer one each misses one of these


def check_peak(answer, rng):
    """Task 3: no neighbour of the peak has a larger rate."""
    for warmup in (*WARMUPS, int(rng.integers(1000, 9000))):
        got = answer.peak_step(warmup)
        number = isinstance(got, numbers.Real) and math.isfinite(got)
        if not number or int(got) != got or got < 1:
            raise Wrong(
                f"the peak for {warmup} warm-up steps is {got!r}, not a whole number from 1"
            )
        rates = [min(t**-0.35, t * warmup**-1.5) if t else 0 for t in (got - 1, got, got + 1)]
        if rates[1] < max(rates):
            better = got + rates.index(max(rates)) - 1
            raise Wrong(
                f"for {warmup} warm-up steps, step {better} has a larger rate than step {got}: "
                "compare the rates of the two whole numbers beside w^(1.5 / 1.35), since no way of "
                "rounding is always right"
            )


def _no_debias(p, g, m, s, t, rate, b1=0.9, b2=0.999, e=1e-8):
    m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g**2
    return p - rate * m / (np.sqrt(s) + e), m, s


def _epsilon_inside(p, g, m, s, t, rate, b1=0.9, b2=0.999, e=1e-8):
    _, m, s = solution.adam_step(p, g, m, s, t, rate, b1, b2, e)
    return p - rate * (m / (1 - b1**t)) / np.sqrt(s / (1 - b2**t) + e), m, s


def _in_place(p, g, m, s, t, *others):
    new, mean, square = solution.adam_step(p, g, m, s, t, *others)
    p[...] = new
    return p, mean, square


CHECKS = [check_steps, check_rate, check_peak]
MUTANTS = {
    "not debiased": {"adam_step": _no_debias},
    "epsilon inside the root": {"adam_step": _epsilon_inside},
    "steps counted from 2": {
        "adam_step": lambda p, g, m, s, t, *o: solution.adam_step(p, g, m, s, t + 1, *o)
    },
    "changes its arguments": {"adam_step": _in_place},
    "uphill": {
        "adam_step": lambda p, g, m, s, t, rate, *o: solution.adam_step(p, g, m, s, t, -rate, *o)
    },
    "max instead of min": {
        "learning_rate": lambda t, h, scale=0.18, w=16000: (
            scale * h**-0.5 * max(t**-0.35, t * w**-1.5)
        )
    },
    "square-root decay, as the text calls it": {
        "learning_rate": lambda t, h, scale=0.18, w=16000: (
            scale * h**-0.5 * min(t**-0.5, t * w**-1.5)
        )
    },
    "peak at the warm-up": {"peak_step": lambda w=16000: w},
    "the nearer whole number": {"peak_step": lambda w=16000: round(w ** (1.5 / 1.35))},
    "always rounded up": {"peak_step": lambda w=16000: math.ceil(w ** (1.5 / 1.35))},
    "peak off by one": {"peak_step": lambda w=16000: solution.peak_step(w) + 1},
}
