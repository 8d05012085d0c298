"""Checks of e14."""

import math
import numbers

import numpy as np

from examples.exercises.checking import Wrong, kind, same, unchanged
from examples.exercises.e14_drawing_codes import solution


def check_probabilities(answer, rng):
    """Task 1: the softmax, at every temperature and for large logits, too."""
    for size, temperature in ((1.0, 1.0), (1.0, 0.4), (1.0, 2.5), (3000.0, 0.7)):
        logits = size * rng.standard_normal(6)
        peak = max(logits)
        weights = [math.exp((v - peak) / temperature) for v in logits]
        mistakes = {
            "the logits are multiplied by the temperature": solution.probabilities(
                logits, 1 / temperature
            ),
            "the temperature is left out": solution.probabilities(logits, 1.0),
        }
        with np.errstate(all="ignore"):
            got = unchanged([logits], lambda v, t=temperature: answer.probabilities(v, t), "task 1")
        what = f"at temperature {temperature}, for logits up to {peak:.3g}, the probability"
        same(got, np.array(weights) / sum(weights), what, mistakes=mistakes)


def slow_nucleus(p, top_p):
    """Codes are taken one at a time, the likeliest of those that are left."""
    kept, left = np.zeros(len(p)), list(range(len(p)))
    while left and kept.sum() < top_p:
        best = max(left, key=lambda k: (p[k], -k))
        kept[best] = p[best]
        left.remove(best)
    return kept / kept.sum()


def check_nucleus(answer, rng):
    """Task 2: the fewest codes that reach top_p, with ties to the lowest number."""
    p = rng.multinomial(64, rng.dirichlet(np.ones(7))) / 64  # sums of these are exact
    ties = np.array([0.125, 0.25, 0.25, 0.125, 0.25])
    for probabilities in (p, ties):
        for top_p in (0.125, 0.25, 0.5, 0.8125, 1.0):
            right = slow_nucleus(probabilities, top_p)
            cut = np.where(np.arange(len(right)) == _last(probabilities, right), 0, right)
            mistakes = {"it is not divided by its new sum": np.where(right > 0, probabilities, 0)}
            if cut.sum():
                mistakes["the code that reaches top_p is left out"] = cut / cut.sum()
            got = unchanged([probabilities], lambda v, t=top_p: answer.nucleus(v, t), "nucleus")
            what = f"of {[float(v) for v in probabilities]} with top_p {top_p}, the probability"
            same(got, right, what, mistakes=mistakes)


def _last(p, kept):
    """The number of the least likely code that is kept; of equally likely ones the highest."""
    return max(np.flatnonzero(kept), key=lambda k: (-p[k], k))


def check_draw(answer, rng):
    """Task 3: the code whose stretch holds u, and none with probability zero."""
    p = np.array([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    for u in (0.0, 0.2, 0.25, 0.6, 0.74, 0.75, 1 - 2**-53, float(rng.random())):
        right = 1 if u < 0.25 else 3 if u < 0.75 else 4
        _is_code(unchanged([p], lambda v, u=u: answer.draw(v, u), "draw"), right, p, u)
    short = np.array([0.5, 0.5 - 2**-50, 0.0])  # what rounding may leave of a sum
    _is_code(answer.draw(short, 1 - 2**-52), 1, short, "1 - 2^-52")


def _is_code(got, right, p, u):
    if not isinstance(got, numbers.Integral):
        raise Wrong(f"draw returned {kind(got)}: a code is a whole number")
    if got != right:
        why = ", which has probability zero" if not 0 <= got < len(p) or p[got] == 0 else ""
        raise Wrong(f"u = {u} draws {got} from {[float(v) for v in p]}{why}: expected {right}")


def _one_short(p, top_p):
    order = np.argsort(-p, kind="stable")
    count = max(1, np.searchsorted(np.cumsum(p[order]), top_p))
    kept = np.zeros_like(p)
    kept[order[:count]] = p[order[:count]]
    return kept / kept.sum()


CHECKS = [check_probabilities, check_nucleus, check_draw]
MUTANTS = {
    "times the temperature": {
        "probabilities": lambda v, t: solution.probabilities(v, 1 / t),
    },
    "overflows": {"probabilities": lambda v, t: np.exp(v / t) / np.exp(v / t).sum()},
    "the last code left out": {"nucleus": _one_short},
    "not divided again": {"nucleus": lambda p, t: np.where(solution.nucleus(p, t) > 0, p, 0)},
    "ties to the highest": {"nucleus": lambda p, t: solution.nucleus(p[::-1], t)[::-1]},
    "the likeliest": {"draw": lambda p, u: int(p.argmax())},
    "draws what has probability zero": {"draw": lambda p, u: int(np.searchsorted(np.cumsum(p), u))},
    "beyond the end": {"draw": lambda p, u: int(np.searchsorted(np.cumsum(p), u, side="right"))},
}
