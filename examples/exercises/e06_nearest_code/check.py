"""Checks of e06."""

import tracemalloc

import numpy as np

from examples.exercises.checking import Wrong, array, same, unchanged
from examples.exercises.e06_nearest_code import solution


def slow(vectors, codebook):
    """Equation 1, one vector at a time."""
    codes = []
    for h in vectors:
        distances = [float(((h - e) ** 2).sum()) for e in codebook]
        codes.append(distances.index(min(distances)))
    return np.array(codes, int)


def check_right(answer, rng):
    """Task 1: each vector gets its nearest code."""
    for count, codes in ((1, 1), (7, 5), (700, 6)):
        vectors = rng.standard_normal((count, 3))
        codebook = rng.standard_normal((codes, 3)) * rng.uniform(0.2, 3, (codes, 1))
        got = unchanged([vectors, codebook], answer.nearest_code, "nearest_code")
        dtype = array(got, "the result").dtype
        if dtype.kind not in "iu":
            raise Wrong(
                f"the codes have dtype {dtype}, but they number rows of the "
                "codebook: whole numbers (np.empty makes floats unless told otherwise)"
            )
        expected, others = slow(vectors, codebook), mistakes(vectors, codebook)
        same(got, expected, f"codes of {count} vectors", mistakes=others)


def mistakes(vectors, codebook):
    """What comes out when something else is looked for."""
    return {
        "codes are counted from 1": slow(vectors, codebook) + 1,
        "the farthest code is taken": ((vectors[:, None] - codebook) ** 2).sum(-1).argmax(1),
        "the largest product is taken": (vectors @ codebook.T).argmax(1),
    }


def check_ties(answer, rng):
    """Task 1: of equally near codes the lowest number wins."""
    vectors = rng.integers(-2, 3, (60, 2)) * 1.0  # whole numbers: distances are exact
    codebook = rng.integers(-2, 3, (9, 2)) * 1.0
    highest = {
        "of equally near codes the highest is taken": 8 - slow(vectors, codebook[::-1]),
    }
    got = answer.nearest_code(vectors, codebook)
    same(got, slow(vectors, codebook), "the codes, with ties", mistakes=highest)


class Watched(np.ndarray):
    """Vectors that may be looked up a limited number of times, their blocks included."""

    lookups, limit = 0, 0

    def __getitem__(self, index):
        Watched.lookups += 1
        if Watched.lookups > self.limit:
            raise Wrong(
                f"the vectors were looked up more than {self.limit} times: a loop over all of "
                "them is slow; work on a block of vectors at a time"
            )
        return super().__getitem__(index)


def check_loops(answer, rng):
    """Task 1: no Python loop over all vectors."""
    vectors, codebook = rng.standard_normal((6000, 3)), rng.standard_normal((7, 3))
    Watched.lookups, Watched.limit = 0, len(vectors) // 2
    got = array(answer.nearest_code(vectors.view(Watched), codebook), "the result", (len(vectors),))
    same(got[:50], slow(vectors[:50], codebook), "the first 50 codes")


def check_memory(answer, rng):
    """Task 1: no matrix of all distances is ever held."""
    count, codes, width = 20_000, 300, 16
    vectors, codebook = rng.standard_normal((count, width)), rng.standard_normal((codes, width))
    tracemalloc.start()
    try:
        got = answer.nearest_code(vectors, codebook)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    allowed = 3 * 1000 * codes * 8 + 3 * count * 8
    if peak > allowed:
        raise Wrong(
            f"for {count} vectors and {codes} codes it held {peak / 2**20:.1f} MiB at once (all "
            f"distances are {count * codes * 8 / 2**20:.1f} MiB); allowed are "
            f"{allowed / 2**20:.1f} MiB: work on a block of vectors at a time, and by a matrix "
            "product, since differences (block, K, D) take D times as much"
        )
    got = array(got, "the result", (count,))
    same(got[-60:], slow(vectors[-60:], codebook), f"of {codes} codes, the last 60")


def _all_at_once(vectors, codebook):
    return ((vectors[:, None] - codebook) ** 2).sum(axis=-1).argmin(axis=1)


def _blocks_of_differences(vectors, codebook):
    blocks = np.array_split(vectors, -(-len(vectors) // 500))
    return np.concatenate([_all_at_once(block, codebook) for block in blocks])


def _highest(vectors, codebook):
    return len(codebook) - 1 - solution.nearest_code(vectors, codebook[::-1])


def _no_norms(vectors, codebook):
    codes = [(vectors[i : i + 512] @ codebook.T).argmax(1) for i in range(0, len(vectors), 512)]
    return np.concatenate(codes)


def _whole_blocks_only(vectors, codebook):
    codes = solution.nearest_code(vectors, codebook)
    codes[len(vectors) // 512 * 512 :] = 0
    return codes


def _one_at_a_time(vectors, codebook):
    return np.array([((h - codebook) ** 2).sum(axis=1).argmin() for h in vectors])


CHECKS = [check_right, check_ties, check_memory, check_loops]
MUTANTS = {
    "N x K memory": {"nearest_code": _all_at_once},
    "blocks of differences (500, K, D)": {"nearest_code": _blocks_of_differences},
    "a loop over all vectors": {"nearest_code": _one_at_a_time},
    "codes of one byte": {
        "nearest_code": lambda v, c: solution.nearest_code(v, c).astype(np.uint8)
    },
    "ties to the highest": {"nearest_code": _highest},
    "largest product instead of smallest distance": {"nearest_code": _no_norms},
    "forgets the last, shorter block": {"nearest_code": _whole_blocks_only},
    "codes that are no whole numbers": {
        "nearest_code": lambda v, c: solution.nearest_code(v, c) * 1.0
    },
    "half the products": {
        "nearest_code": lambda v, c: solution.nearest_code(v / 2, c),
    },
    "farthest": {
        "nearest_code": lambda v, c: solution.nearest_code(-v, c),
    },
}
