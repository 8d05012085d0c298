"""What the training loop trains, and what most of it has in common."""

import contextlib

from backends.communication import Single
from vqv2.training import accumulation


class Task:
    """A base class. A task has, besides the methods here,

    stage                      "autoencoder", "prior-LEVEL", "classifier": what its files are called
    model, optimizer, config   the configuration gives batch, steps, accumulate, clipping
    batch(step)                the data of a step: a pure function of step
    loss(data, rng)            (loss tensor, function returning {name: number} to show and log)
    learning_rate(step)
    validate()                 {name: number} on held-out data, with averaged weights; "loss" is one
    metadata                   what else its checkpoint has to say

    `communicator` says with whom it shares its batches (`backends.communication`).
    """

    communicator = Single()

    def split(self, data, count):
        """[the data of each of `count` equal parts of a batch] (`vqv2.training.accumulation`)."""
        return accumulation.split(data, count)

    def whole_batch(self, parts, rng):
        """Context manager around the parts of a step, for what looks at the whole batch."""
        return contextlib.nullcontext()

    def combine(self, metrics):
        """{name: number} of a batch from a list of those of its parts: their means."""
        return accumulation.mean(metrics)
