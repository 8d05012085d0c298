"""In which order training sees the data: a pure function of seed and step.

Nothing has to be stored to continue a training exactly, in the middle of an epoch or anywhere
else, and the next batches can be prepared while the current one is in use. A permutation takes 8
bytes for each image, 10 MB for ImageNet, less than the files' names; those of two epochs are kept.
"""

import functools

import numpy as np


@functools.lru_cache(maxsize=2)
def _permutation(seed, epoch, count):
    return np.random.default_rng((seed, 1, epoch)).permutation(count)


def batch_indices(seed, step, batch, count):
    """Indices (batch,) of step 1, 2, ...: successive random permutations of range(count)."""
    positions = np.arange((step - 1) * batch, step * batch)
    epochs = positions // count
    parts = [
        _permutation(seed, int(epoch), count)[positions[epochs == epoch] % count]
        for epoch in np.unique(epochs)
    ]
    return np.concatenate(parts)


def step_generator(seed, step):
    """The generator for what the model draws in one step: dropout, restarted codes."""
    return np.random.default_rng((seed, 2, step))


def batch_generator(seed, step):
    """The generator for augmenting a step's batch, which is prepared in another thread."""
    return np.random.default_rng((seed, 3, step))


def copy_generator(seed, copy, start):
    """The generator for augmenting images from `start` on whose codes are extracted once more.

    It has made one draw for each image before them, so that batches do not matter to a copy.
    """
    generator = np.random.default_rng((seed, 4, copy))
    generator.bit_generator.advance(start)
    return generator
