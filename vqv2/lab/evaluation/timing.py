"""How long each position of a map takes to sample: incrementally and naively (section F)."""

import time
from typing import NamedTuple

import numpy as np

from backends import to_device, to_host
from vqv2.sampling import IncrementalPrior, NaivePrior


class PositionTimes(NamedTuple):
    """Seconds to get the logits of positions and to fix their codes, one map at a time."""

    positions: np.ndarray  # (P,) in raster order
    seconds: np.ndarray  # (repetitions, P)

    @property
    def median(self):
        """Over the repetitions, (P,)."""
        return np.median(self.seconds, axis=0)

    def total(self, count):
        """Seconds of a whole map of `count` positions: the mean of the medians, times `count`."""
        return float(self.median.mean() * count)


def incremental_times(prior, codes, label=None, coarser=(), repetitions=3):
    """`PositionTimes` of every position, with an `IncrementalPrior`.

    codes (N, size, size) are what is chosen, which changes no time. The start of a row is in its
    first position, and what the coarser levels say, computed once, is left out.
    """
    columns, seconds = _columns(codes), []
    for _ in range(repetitions):
        stepper = IncrementalPrior(prior, len(codes), label, coarser)
        seconds.append([_time_step(stepper, column) for column in columns])
    return PositionTimes(np.arange(prior.size**2), np.array(seconds))


def naive_times(prior, codes, label=None, coarser=(), positions=8, repetitions=3):
    """`PositionTimes` of some positions, evenly spread, with a `NaivePrior`.

    It computes the whole map for each, so that all of them take the same time.
    """
    chosen = np.unique(np.linspace(0, prior.size**2 - 1, positions).astype(int))
    columns, seconds = _columns(codes), []
    for _ in range(repetitions):
        stepper, times = NaivePrior(prior, len(codes), label, coarser), []
        for position in chosen:
            stepper.position = int(position)
            times.append(_time_step(stepper, columns[position]))
        seconds.append(times)
    return PositionTimes(chosen, np.array(seconds))


def _columns(codes):
    """Codes (N, size, size) as the codes (N,) of one position after the other, on the device."""
    return list(to_device(codes.reshape(len(codes), -1), np.int64).T)


def _time_step(stepper, codes):
    start = time.perf_counter()
    to_host(stepper.logits())  # waits for a device
    stepper.append(codes)
    return time.perf_counter() - start
