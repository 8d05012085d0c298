"""The precision of a training: of its configuration, or what suits the device."""

import dataclasses
import functools

import backends
from vqv2.config import AUTO

AMPERE, VOLTA = (8, 0), (7, 0)  # compute capabilities: the first with bfloat16, with float16


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


def in_its_precision(train):
    """Decorator of `train(task, ...)`: products inside have the precision of `task.config`."""

    @functools.wraps(train)
    def function(task, *arguments, **keywords):
        with backends.use(precision=task.config.precision):
            return train(task, *arguments, **keywords)

    return function
