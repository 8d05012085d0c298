"""Random numbers without a state: hashes of a seed and of the place where a number is used.

Nothing is stored or passed on, the order does not matter, and every backend has the same numbers.
They are those of the splitmix64 generator (https://prng.di.unimi.it/splitmix64.c).
"""

import numpy as np

STEP = 0x9E3779B97F4A7C15  # from one state of the generator to the next, modulo 2^64


def hashed(seeds, index):
    """The outputs number `index`, from 0, of the generators `seeds`: 64 bits each, uint64.

    seeds (an array or one) and index (an array) broadcast; both are uint64
    """
    z = seeds + (index + np.uint64(1)) * np.uint64(STEP)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def seed_from(seed, first):
    """The seed whose output i is output first + i of `seed`."""
    return (seed + first * STEP) % 2**64
