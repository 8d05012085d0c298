"""What a training step takes on a device: memory, and seconds by the roofline of its kernels.

A share of a batch that does not fit is computed in parts (`accumulate`), or activations are
computed twice (`recompute`), or both; which is faster, the counts tell. A prediction: the work is
counted (`vqv2.lab.counting`), how fast it is done is assumed.
"""

import dataclasses
import math

from backends.process.device_memory import DEFAULT_LIMIT
from vqv2.lab import counting
from vqv2.lab.plan import roofline

LIMIT = float(DEFAULT_LIMIT.rstrip("%")) / 100  # of the memory, which the pool may take
CONTEXT = 0.75 * 2**30  # assumed: bytes of the driver's context and of cuBLAS
FIRST = 8  # images of the step that tells how memory grows with them


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to compute a step of a share of a batch.

    case      the `TrainingCase` of one part of the share
    parts     how many of them (accumulate)
    counts    `Counts` of a step of one part
    seconds   of a step, without what several devices send each other; NaN where it does not fit
    """

    case: object
    parts: int
    counts: object
    seconds: float

    @property
    def recompute(self):
        """Whether activations are computed twice."""
        return self.case.config.recompute

    @property
    def fits(self):
        """Whether a device can hold one part."""
        return not math.isnan(self.seconds)


def ways(case, share, on, precision, shares=roofline.ASSUMED):
    """[`Way`, ...] to compute `share` images in a step: plain, and where it has parts recomputed.

    Each in as few parts as fit into the memory of a `Device`.
    """
    plain = _way(with_recompute(case, False), share, on, precision, shares)
    if plain.parts == 1 and plain.fits:
        return [plain]
    return [plain, _way(with_recompute(case, True), share, on, precision, shares)]


def with_recompute(case, recompute):
    """A `TrainingCase` with or without activation recomputation."""
    config = dataclasses.replace(case.config, recompute=recompute)
    return dataclasses.replace(case, config=config)


def room(on):
    """Bytes of a `Device` that CuPy's pool may take."""
    return on.memory * LIMIT - CONTEXT


def _way(case, share, on, precision, shares):
    part = largest_part(case, share, precision, room(on))
    parts, one = share // part, dataclasses.replace(case, batch=part)
    counts = counting.training_step(one, precision)
    fits = counts.pooled <= room(on)
    seconds = step_seconds(counts, parts, on, precision, shares) if fits else math.nan
    return Way(one, parts, counts, seconds)


def step_seconds(counts, parts, on, precision, shares=roofline.ASSUMED):
    """Seconds of a step of `parts` parts: Adam runs once, all else for each of them."""
    adam = {launch: n for launch, n in counts.launches.items() if launch.family == "Adam"}
    others = {launch: n for launch, n in counts.launches.items() if launch.family != "Adam"}
    each, once = (roofline.seconds(some, on, precision, shares) for some in (others, adam))
    return parts * each + once


def largest_part(case, share, precision, available):
    """The largest equal part of `share` images whose step takes `available` bytes at most, or 1.

    How memory grows is first told by `FIRST` images; then parts are tried where that points.
    """

    def needed(part):
        return counting.training_step(dataclasses.replace(case, batch=part), precision).pooled

    parts = [n for n in range(1, share + 1) if share % n == 0]  # sizes, the smallest first
    known = max(part for part in parts if part <= FIRST)
    fixed = 4 * 4 * counting.model(case).parameter_count()  # weights, Adam's moments, the average
    per_image = (needed(known) - fixed) / known
    guess = max(parts[0], min(share, (available - fixed) / per_image))
    at = max(i for i, part in enumerate(parts) if part <= guess)
    while at and needed(parts[at]) > available:
        at -= 1
    while at + 1 < len(parts) and needed(parts[at]) <= available >= needed(parts[at + 1]):
        at += 1
    return parts[at]
