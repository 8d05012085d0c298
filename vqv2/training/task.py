"""What the training loop trains, and what most of it has in common; its precision."""

import contextlib
import dataclasses

import numpy as np

import backends
from backends.process.communication import Single
from vqv2.config import AUTO
from vqv2.errors import InputError
from vqv2.run.rules import ORIGIN, PLACE
from vqv2.training import parallel

VALIDATED = 1024  # of the held-out images, at the most, for a held-out loss
AMPERE, VOLTA = (8, 0), (7, 0)  # compute capabilities: the first with bfloat16, with float16


class Task:
    """A base class. A task has, besides what is here,

    stage                what its files are called: "autoencoder", "prior-LEVEL", "classifier"
    optimizer
    batch(step)          this process's share of a step's data: a pure function of step
    loss(data, rng)      (loss tensor, function returning {name: number} to show and log)
    learning_rate(step)
    validate()           {name: number} on held-out data, with averaged weights; "loss" is one
    metadata             what else its checkpoint has to say
    """

    def __init__(self, model, seed, communicator=None):
        """The configuration of `model` gives batch, steps, accumulate, clipping and precision.

        With a `communicator` (`backends.process.communication`) this process trains on its `share`,
        a slice, of every batch. Raises `InputError` when the batch cannot be divided like that.
        """
        self.communicator = communicator or Single()
        self.model = model.distribute(self.communicator)
        self.config = resolved(model.config)
        self.seed = seed
        self.share = parallel.share(self.config.batch, self.communicator, self.config.accumulate)

    def facts(self):
        """{name: value} of what it learns from, which all processes must have alike."""
        return {n: value for n, value in self.metadata.items() if n not in (PLACE, ORIGIN)}

    def split(self, data, count):
        """[the data of each of `count` equal parts of a batch] (`vqv2.training.step`)."""
        return split(data, count)

    def whole_batch(self, parts, rng):
        """Context manager around the parts of a step, for what looks at the whole batch."""
        return contextlib.nullcontext()

    def combine(self, metrics):
        """{name: number} of a batch from a list of those of its parts: their means."""
        return {name: float(np.mean([one[name] for one in metrics])) for name in metrics[0]}


def split(data, count):
    """[`count` equal parts of a batch, one after the other].

    `data` is an array with one row per image, None, or a tuple or list of such. Raises `InputError`
    when the parts cannot be equal: the batch is what this process has of it.
    """
    if data is None:
        return [None] * count
    if isinstance(data, tuple | list):
        columns = [split(one, count) for one in data]
        return [type(data)(column[part] for column in columns) for part in range(count)]
    if len(data) % count:
        raise InputError(
            f"{len(data)} images of a batch cannot be computed in {count} equal parts: choose "
            "another accumulate, which divides each process's share of a batch"
        )
    length = len(data) // count
    return [data[start : start + length] for start in range(0, length * count, length)]


def best_precision():
    """`precision_of` what computes now: float32 on a processor."""
    return precision_of(backends.compute_capability() or (0, 0))


def precision_of(capability):
    """What products are fastest in without harm on a device of a compute capability.

    bfloat16 where its tensor cores have it (Ampere and newer), else float16, with loss scaling,
    where they have that (Volta and Turing), else float32.
    """
    if capability >= AMPERE:
        return "bfloat16"
    return "float16" if capability >= VOLTA else "float32"


def resolved(config):
    """A stage's configuration, with "auto" replaced by `best_precision`."""
    if config.precision != AUTO:
        return config
    return dataclasses.replace(config, precision=best_precision())
