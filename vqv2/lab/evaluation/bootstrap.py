"""How far a figure might be off: the bootstrap (Efron, 1979)."""

from typing import NamedTuple

import numpy as np

REPLICATES = 200
CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A figure and the interval in which repetitions of its measurement are expected."""

    value: float
    low: float
    high: float


def estimate(statistic, samples, rng, replicates=REPLICATES):
    """The `Estimate` of statistic(*samples), a number.

    samples     arrays whose first axis counts independent observations
    replicates  how often each of them is drawn anew, from itself and with replacement
    """
    drawn = [
        statistic(*[part[resampled(len(part), rng)] for part in samples]) for _ in range(replicates)
    ]
    return around(statistic(*samples), drawn)


def resampled(count, rng):
    """Places (count,) of a sample drawn from itself, with replacement."""
    return rng.integers(count, size=count)


def around(value, drawn, confidence=CONFIDENCE):
    """The `Estimate` of a value whose replicates are `drawn`.

    The interval reaches from the lower to the upper quantile of the replicates, moved so that
    their mean lies at the value. Without that it might not even hold the value: a Fréchet distance
    grows when observations repeat, so that all its replicates lie above it.
    """
    ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2]) - np.mean(drawn)
    return Estimate(float(value), *(value + ends).tolist())


def share(marks, rng, replicates=REPLICATES):
    """The `Estimate` of how many of the truth values `marks` (N,) are true, within [0, 1]."""
    return within(estimate(np.mean, [np.asarray(marks, np.float64)], rng, replicates), 0, 1)


def within(found, least, most):
    """An `Estimate` whose interval ends at the least and the most that there can be."""
    return found._replace(low=max(least, found.low), high=min(most, found.high))
