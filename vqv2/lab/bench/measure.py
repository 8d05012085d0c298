"""Comparing two sides in turns: medians and spreads, next to the machine's own limits."""

import contextlib
import dataclasses
import functools
import statistics

from vqv2.errors import InputError
from vqv2.lab.bench.worker import Worker

PEERS = ("torch", "torch-compiled")


@dataclasses.dataclass(frozen=True)
class Spread:
    """Seconds of several repetitions of one thing."""

    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float

    @classmethod
    def of(cls, seconds):
        """Of one or more measurements."""
        if len(seconds) == 1:
            return cls(*seconds * 5)
        quartiles = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(min(seconds), *quartiles, max(seconds))


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the machine can do with the same threads, measured in the same run (`machine.py`)."""

    flops_per_s: float  # float32 matrix product
    bytes_per_s: float  # reading memory that no cache holds


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison. Medians; a peer's fields are None without a peer.

    ours_s, peer_s        seconds
    ratio                 peer_s / ours_s: above 1, we are faster
    threads               of every thread pool, on both sides
    peak_bytes            most memory that our side held above what it held before
    flops, bytes          what the computation needs (`subject.py`)
    product_share         flops / ours_s, as a share of the matrix-product limit
    streaming_share       bytes / ours_s, as a share of the streaming limit; None if not counted
    units, unit           what the seconds are for, such as 4 images or 1024 positions
    ours, peer            all five numbers of the spread
    """

    name: str
    ours_s: float
    peer_s: float | None
    ratio: float | None
    threads: int
    peak_bytes: int
    peer_peak_bytes: int | None
    flops: int
    bytes: int
    product_share: float | None
    streaming_share: float | None
    repetitions: int
    ours: Spread
    peer: Spread | None
    units: int = 1
    unit: str = "run"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure."""

    threads: int
    repetitions: int = 5
    warmup: int = 1
    peer: str | None = None
    scale: str = "host"  # of the cases (`cases.py`); figures of "tiny" ones mean nothing
    only: str = ""  # part of the names of what is wanted
    busy: int = 0  # other processes that compute beside the measurement

    def check(self):
        """Raise `InputError` for settings that mean nothing; returns self."""
        for name, least in (("threads", 1), ("repetitions", 1), ("warmup", 0), ("busy", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} {getattr(self, name)} must be at least {least}")
        if self.peer not in (None, *PEERS):
            raise InputError(f"there is no peer {self.peer!r}; there is {', '.join(PEERS)}")
        return self

    def wants(self, name):
        """Whether `only` leaves `name` in."""
        return self.only in name

    @property
    def sides(self):
        """("ours",) or ("ours", peer)."""
        return ("ours", self.peer) if self.peer else ("ours",)


@contextlib.contextmanager
def workers(settings):
    """One `Worker` for each side."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Worker(s, settings.threads)) for s in settings.sides]


def compare(pair, suite, name, options, settings, limits, title=None, fill=0.0):
    """A `Row`: build `name` of a suite on every worker of `pair`, then run them in turns.

    A turn is one run, or as many as fill `fill` seconds: what takes a millisecond is then measured
    as it runs between others, with threads awake and a device busy, and not after a pause.
    """
    built = [worker.build(suite, name, options) for worker in pair]
    runs = [functools.partial(worker.run, fill) for worker in pair]
    seconds = take_turns(runs, settings.repetitions, settings.warmup)
    peaks = [worker.peak_bytes() for worker in pair]
    return make_row(title or name, seconds, peaks, built[0], settings, limits)


def compare_in_sequence(suite, name, options, settings, limits, title=None):
    """As `compare`, one side after the other in fresh processes: for what fills the memory."""
    seconds, peaks, built = [], [], []
    for side in settings.sides:
        with Worker(side, settings.threads) as worker:
            built.append(worker.build(suite, name, options))
            seconds += take_turns([worker.run], settings.repetitions, settings.warmup)
            peaks.append(worker.peak_bytes())
    return make_row(title or name, seconds, peaks, built[0], settings, limits)


def take_turns(runs, repetitions, warmup):
    """Seconds [[...], ...] of each of `runs`: first, second, first, second, ..."""
    for _ in range(warmup):
        for run in runs:
            run()
    rounds = [[run() for run in runs] for _ in range(repetitions)]
    return [list(seconds) for seconds in zip(*rounds, strict=True)]


def make_row(name, seconds, peaks, counted, settings, limits, units=None):
    """A `Row` from the seconds and peaks of each side, and our side's {"flops", "bytes", ...}.

    `units` (number, name) overrides what our side's subject says about itself.
    """
    number, unit = units or (counted.get("units", 1), counted.get("unit", "run"))
    spreads = [Spread.of(s) for s in seconds]
    ours, peer = spreads[0], spreads[1] if len(spreads) > 1 else None
    return Row(
        name=name,
        ours_s=ours.median,
        peer_s=peer.median if peer else None,
        ratio=peer.median / ours.median if peer else None,
        threads=settings.threads,
        peak_bytes=peaks[0],
        peer_peak_bytes=peaks[1] if peer else None,
        flops=counted["flops"],
        bytes=counted["bytes"],
        product_share=share(counted["flops"], ours.median, limits.flops_per_s),
        streaming_share=share(counted["bytes"], ours.median, limits.bytes_per_s),
        repetitions=len(seconds[0]),
        ours=ours,
        peer=peer,
        units=number,
        unit=unit,
    )


def share(amount, seconds, limit):
    """amount / seconds as a share of `limit` per second; None where nothing was counted."""
    return amount / seconds / limit if amount else None


def total(name, rows, units, unit):
    """One row for several that happen one after the other: sums of medians and of spreads.

    Without the peer where one of the rows has none.
    """
    with_peer = all(row.peer for row in rows)
    ours = Spread(*map(sum, zip(*(dataclasses.astuple(r.ours) for r in rows), strict=True)))
    peer = None
    if with_peer:
        peer = Spread(*map(sum, zip(*(dataclasses.astuple(r.peer) for r in rows), strict=True)))
    return dataclasses.replace(
        rows[0],
        name=name,
        ours_s=ours.median,
        peer_s=peer.median if peer else None,
        ratio=peer.median / ours.median if peer else None,
        peak_bytes=max(row.peak_bytes for row in rows),
        peer_peak_bytes=max(row.peer_peak_bytes for row in rows) if peer else None,
        flops=sum(row.flops for row in rows),
        bytes=sum(row.bytes for row in rows),
        product_share=_weighted(rows, "product_share"),
        streaming_share=_weighted(rows, "streaming_share"),
        ours=ours,
        peer=peer,
        units=units,
        unit=unit,
    )


def _weighted(rows, field):
    """The mean of a share over rows, weighted by their seconds; None where none has one."""
    shares = [(getattr(row, field) or 0) * row.ours_s for row in rows]
    return sum(shares) / sum(row.ours_s for row in rows) if any(shares) else None
