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


def estimate(statistic, samples, rng, replicates=REPLICATES, confidence=CONFIDENCE):
    """The `Estimate` of statistic(*samples), a number.

    samples     arrays whose first axis counts independent observations
    replicates  how often each of them is drawn anew, from itself and with replacement

    The interval reaches from the lower to the upper quantile of the replicates, moved so that
    their mean lies at the value. Without that it might not even hold the value: a Fréchet distance
    grows when observations repeat, so that all its replicates lie above it.
    """
    value = float(statistic(*samples))
    drawn = [
        statistic(*[part[rng.integers(len(part), size=len(part))] for part in samples])
        for _ in range(replicates)
    ]
    ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2]) - np.mean(drawn)
    return Estimate(value, *(value + ends).tolist())


def share(marks, rng, replicates=REPLICATES):
    """The `Estimate` of how many of the truth values `marks` (N,) are true, within [0, 1]."""
    found = estimate(np.mean, [np.asarray(marks, np.float64)], rng, replicates)
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high))
