"""How fast images are read, alone, and whether training has to wait for them."""

import contextlib
import time
from typing import NamedTuple

import numpy as np

from vqv2.data.readers import prefetched
from vqv2.training.draws import batch_generator, batch_indices, step_generator

WARMUP = 2  # batches or steps that are not measured: workers start, kernels compile


class Loading(NamedTuple):
    """Seconds of the batches that were read, one after the other."""

    images: int  # in a batch
    seconds: np.ndarray  # (batches,)

    @property
    def images_per_second(self):
        """Over all batches."""
        return self.images * len(self.seconds) / self.seconds.sum()


class Waiting(NamedTuple):
    """Seconds of training steps, and how much of them went by before their images were there."""

    images: int
    step_seconds: np.ndarray  # (steps,)
    waited_seconds: np.ndarray  # (steps,)

    @property
    def share(self):
        """Of the time of training, what was spent waiting; in [0, 1]."""
        return self.waited_seconds.sum() / self.step_seconds.sum()


def loading(source, batch, augmentation, batches, seed=0):
    """`Loading` of an `ImageSource`, with the order and the augmentation of a training."""

    def read(step):
        indices = batch_indices(seed, step, batch, len(source))
        return source.batch(indices, augmentation, batch_generator(seed, step))

    steps, seconds = range(1, WARMUP + batches + 1), []
    with contextlib.closing(prefetched(read, steps)) as ready:
        begun = time.perf_counter()
        for _ in ready:
            now = time.perf_counter()
            seconds.append(now - begun)
            begun = now
    return Loading(batch, np.array(seconds[WARMUP:]))


def waiting(task, steps):
    """`Waiting` of a training task (`vqv2.training.loop`): real steps, which train its model."""
    step_seconds, waited_seconds = [], []
    numbers = range(1, WARMUP + steps + 1)
    with contextlib.closing(prefetched(task.batch, numbers)) as batches:
        for step in numbers:
            begun = time.perf_counter()
            data = next(batches)
            waited_seconds.append(time.perf_counter() - begun)
            loss, _ = task.loss(data, step_generator(task.seed, step))
            loss.item()
            loss.backward()
            task.optimizer.step(task.learning_rate(step))
            step_seconds.append(time.perf_counter() - begun)
    return Waiting(
        task.config.batch, np.array(step_seconds[WARMUP:]), np.array(waited_seconds[WARMUP:])
    )
