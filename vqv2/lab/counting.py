"""What a model asks of a device, counted once: by running it on one that has shapes only.

The model's own code runs, and that of the cupy backend (`backends.shapes`), so that there is no
second description of a layer that could differ from the first. A full-size step takes a second.

    step = training_step(case, "bfloat16")      # `Counts` of a training step
    step.operations, step.bytes, step.live
    operations(make)                            # of any computation: what the formula needs
"""

import collections
import dataclasses
import functools
import gc

import numpy as np

from backends import shapes, to_device
from vqv2.config import AutoencoderConfig
from vqv2.lab.bench import cases
from vqv2.sampling import IncrementalPrior, Settings, row_sampler


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was asked of a device.

    launches   {`Launch`: how often}, copies from and to the host among them
    live       the most bytes that were in use at a time
    pooled     the most bytes that CuPy's pool held
    """

    launches: collections.Counter
    live: int
    pooled: int

    @classmethod
    def of(cls, device):
        """Of a device of shapes, since it last forgot."""
        launches = collections.Counter(device.launches)
        return cls(launches, device.pool.most_used, device.pool.most_held)

    @property
    def operations(self):
        """Additions and multiplications of products, attention and the search for codes."""
        return sum(times * launch.operations for launch, times in self.launches.items())

    @property
    def count(self):
        """How many kernels were started."""
        return sum(n for launch, n in self.launches.items() if launch.family != shapes.TRANSFERS)

    @property
    def bytes(self):
        """{family of kernels: bytes read and written}."""
        traffic = collections.Counter()
        for launch, times in self.launches.items():
            traffic[launch.family] += times * round(launch.read + launch.written)
        return dict(sorted(traffic.items()))


def operations(make):
    """Operations of the function that `make()` gives; both run on a device of shapes."""
    with shapes.device() as device:
        run = make()
        device.forget()
        run()
        return Counts.of(device).operations


def build(case):
    """The model of a `TrainingCase`, on the device of shapes that is selected."""
    return cases.build_model(case, shapes.Weights())


def model(case):
    """The model of a `TrainingCase` without numbers, to ask how many parameters it has."""
    with shapes.device():
        return build(case)


@functools.lru_cache(maxsize=64)
def training_step(case, precision="float32"):
    """`Counts` of a training step of a `TrainingCase`, the second one of a training."""
    with shapes.device() as device:
        step = cases.training_step(build(case), inputs(case), precision)
        step().item()
        gc.collect()
        device.forget()
        step().item()
        return Counts.of(device)


def inputs(case):
    """What a model is trained on, as `cases.training_data`: images, or codes and classes."""
    config = case.config
    if isinstance(config, AutoencoderConfig):
        shape = (case.batch, config.image_size, config.image_size, config.channels)
        return (shapes.Zeros(shape, np.float32),)
    return cases.training_data(case)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """`Counts` of what drawing maps side by side is made of."""

    start: Counts  # once for a map: weights are laid out, coarser codes go through their stack
    row: Counts  # once for each of its rows
    position: Counts  # once for each of its positions


@functools.lru_cache(maxsize=64)
def sampling(case, storage="float32"):
    """`Sampling` of `case.batch` maps, in the middle of a map."""
    with shapes.device() as device:
        prior, (_, label, coarser) = build(case), cases.training_data(case)
        device.forget()
        stepper = IncrementalPrior(prior, case.batch, label, coarser, storage)
        seeds = to_device(np.zeros(case.batch, np.uint64))
        sampler = row_sampler(stepper, Settings(), seeds)
        start = Counts.of(device)
        stepper.skip_to(case.size // 2 - 1)
        positions = _row(sampler, case)
        for _ in range(case.size):  # the first is recorded, the last one asks for nothing else
            device.forget()
            next(positions)
        position = Counts.of(device)
        following = _row(sampler, case)
        device.forget()
        next(following)
        first = Counts.of(device)
    row = dataclasses.replace(first, launches=first.launches - position.launches)
    return Sampling(start, row, position)


def _row(sampler, case):
    """Draw a row; yields after each position."""
    yield from sampler.draw(to_device(shapes.Zeros((case.batch, case.size), np.int64)))
