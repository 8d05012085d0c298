"""Checks of e09."""

import math

import numpy as np

from examples.exercises.checking import same, unchanged
from examples.exercises.e09_surprise import solution

K = 6


def draw(rng):
    """Codes (N, H, W) from 0 to K - 2: the last one never occurs."""
    return rng.choice(K - 1, size=(3, 2, int(rng.integers(3, 6))), p=[0.5, 0.2, 0.1, 0.1, 0.1])


def check_frequencies(answer, rng):
    """Task 1: probabilities of all codes, also of those that did not occur."""
    codes = draw(rng)
    counts = np.array([(codes == k).sum() for k in range(K)])
    mistakes = {
        "no code is seen once more": counts / codes.size,
        "the divisor is the number of codes without `size`": (counts + 1) / codes.size,
        "counts are returned, not probabilities": counts,
    }
    got = unchanged([codes], lambda c: answer.frequencies(c, K), "frequencies")
    same(got, (counts + 1) / (codes.size + K), "the probability", mistakes=mistakes)


def check_nats(answer, rng):
    """Task 2: the mean surprise of codes."""
    codes, p = draw(rng), rng.dirichlet(np.ones(K))
    surprise = [-math.log(p[code]) for code in codes.ravel()]
    mistakes = {
        "the logarithm has base 2: these are bits": np.mean(surprise) / math.log(2),
        "the sum is taken, not the mean": np.sum(surprise),
        "the sign is forgotten": -np.mean(surprise),
        "every code counts alike, however often it occurs": -np.log(p).mean(),
        "the entropy of the guess is taken: what happened is not looked at": -(p * np.log(p)).sum(),
    }
    got = unchanged([codes, p], answer.nats, "nats")
    same(got, np.mean(surprise), "the mean surprise", mistakes=mistakes)


def check_perplexity(answer, rng):
    """Task 3: the perplexity, also where a code has probability zero."""
    for size in (1, 4, 9):
        same(answer.perplexity(np.full(size, 1 / size)), size, f"of {size} equal codes, it")
    p = np.append(rng.dirichlet(np.ones(K - 1)), 0.0)
    entropy = -sum(v * math.log(v) for v in p if v > 0)
    mistakes = {
        "the entropy itself is returned": entropy,
        "2 is raised to the entropy in nats": 2**entropy,
        "the sign is forgotten": math.exp(-entropy),
        "codes that occur are counted": K - 1,
    }
    with np.errstate(all="ignore"):
        got = unchanged([p], answer.perplexity, "perplexity")
    same(got, math.exp(entropy), "the perplexity, with a code of probability 0,", mistakes=mistakes)


def _nan_for_zero(p):
    return np.exp(-(p * np.log(p)).sum())


CHECKS = [check_frequencies, check_nats, check_perplexity]
MUTANTS = {
    "no smoothing": {
        "frequencies": lambda c, size: np.bincount(c.ravel(), minlength=size) / c.size
    },
    "too short": {"frequencies": lambda c, size: solution.frequencies(c, c.max() + 1)},
    "bits": {"nats": lambda c, p: solution.nats(c, p) / math.log(2)},
    "a sum": {"nats": lambda c, p: solution.nats(c, p) * c.size},
    "blind to what happened": {"nats": lambda c, p: -(p * np.log(p)).sum()},
    "entropy": {"perplexity": lambda p: math.log(solution.perplexity(p))},
    "NaN for a code that does not occur": {"perplexity": _nan_for_zero},
}
