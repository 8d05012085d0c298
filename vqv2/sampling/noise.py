"""From which noise a map is drawn: a seed for each map of each level.

The noise of a code is a hash of its map's seed, the position and the code
(`backends.reference.sample.gumbel_noise`). So a map is the same whichever others are drawn beside
it, in whatever order, by whichever process; and what is kept at one position, or of another level,
does not change the noise of any other.
"""

import numpy as np

from backends.reference.hashing import seed_from


def level_generator(seed, number):
    """The generator from which the noise of level `number`, from 0 up, is drawn."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def noise_seeds(rng, prior, count, first=0):
    """Seeds (count,), uint64, of the maps `first` and following of a prior: one draw from `rng`.

    Together their noise is one sequence, which no two maps share a number of.
    """
    seed, numbers = int(rng.integers(2**63)), prior.size**2 * prior.codebook_size
    maps = range(first, first + count)
    return np.array([seed_from(seed, number * numbers) for number in maps], np.uint64)
