"""Checks of e12."""

import math

import numba
import numpy as np

from examples.exercises.checking import Wrong, same, unchanged
from examples.exercises.simulator import Counted, cuda

THREADS, D = 8, 3


def launch(kernel, count, *arguments):
    """Run enough blocks for `count` threads."""
    if not hasattr(kernel, "__getitem__"):
        raise Wrong("it is no CUDA kernel: keep the line @cuda.jit above it")
    try:
        kernel[max(1, -(-count // THREADS)), THREADS](*arguments)
    except IndexError as error:
        raise Wrong(
            f"a thread reached beyond an array ({str(error).split(': ')[-1]}): there are whole "
            f"blocks of {THREADS} threads for {count} elements, and whole tiles; ask before "
            "reading and writing"
        ) from None


def check_scale(answer, rng):
    """Task 1: every element is scaled, whether blocks are full or not."""
    for count in (1, THREADS, 2 * THREADS + 3):
        x, y = rng.standard_normal(count), Counted(np.full(count, np.nan))
        unchanged([x], lambda x, n=count, y=y: launch(answer.scale, n, x, 2.5, y), "scale")
        same(y.array, 2.5 * x, f"y, for {count} elements,")
        if y.writes > count:
            raise Wrong(
                f"y was written {y.writes} times for {count} elements: a thread does one of them"
            )


def slow(vectors, codebook):
    """Equation 1, a vector at a time."""
    return np.array([int(((h - codebook) ** 2).sum(axis=1).argmin()) for h in vectors])


def check_nearest(answer, rng):
    """Task 2: the nearest codes, with tiles and blocks that are full or not; ties to the lowest."""
    for count, size in ((5, 3), (THREADS, THREADS), (11, 2 * THREADS + 3)):
        vectors = rng.integers(-2, 3, (count, D)) * 1.0  # whole numbers: distances are exact
        codebook = rng.integers(-2, 3, (size, D)) * 1.0
        codes = np.full(count, -1)
        unchanged(
            [vectors, codebook],
            lambda v, c, n=count, out=codes: launch(answer.nearest_code, n, v, c, out),
            "nearest_code",
        )
        expected = slow(vectors, codebook)
        mistakes = {
            "nothing is written": np.full(count, -1),
            "places in a tile are taken for codes": expected % THREADS,
            "only the first tile is searched": slow(vectors, codebook[:THREADS]),
        }
        same(codes, expected, f"the codes of {count} vectors, out of {size},", mistakes=mistakes)


def check_reads(answer, rng):
    """Task 2: every block reads the codebook once, not every thread."""
    count, size = 2 * THREADS, 2 * THREADS
    vectors, codebook = rng.standard_normal((count, D)), Counted(rng.standard_normal((size, D)))
    codes = np.full(count, -1)
    launch(answer.nearest_code, count, vectors, codebook, codes)
    same(codes, slow(vectors, codebook.array), "the codes")
    needed = 2 * size * D
    if codebook.reads > needed:
        raise Wrong(
            f"the two blocks read {codebook.reads} numbers of the codebook from global memory; "
            f"once each would be {needed}"
        )


def _scale_without_test(x, factor, y):
    i = cuda.grid(1)
    y[i] = factor * x[i]


def _scale_all(x, factor, y):
    for i in range(x.size):
        y[i] = factor * x[i]


def _scale_one_off(x, factor, y):
    i = cuda.grid(1)
    if i < x.size - 1:
        y[i] = factor * x[i]


def _search(vectors, codebook, codes, rows, start, i, best, smallest, last_wins):
    for k in range(rows):
        distance = 0.0
        for d in range(D):
            distance += (vectors[i, d] - codebook[k, d]) ** 2
        if distance < smallest or (last_wins and distance == smallest):
            best, smallest = start + k, distance
    return best, smallest


def _global_reads(vectors, codebook, codes):
    i = cuda.grid(1)
    if i < vectors.shape[0]:
        rows = codebook.shape[0]
        codes[i] = _search(vectors, codebook, codes, rows, 0, i, 0, math.inf, False)[0]


def _last_of_ties(vectors, codebook, codes):
    i = cuda.grid(1)
    if i < vectors.shape[0]:
        rows = codebook.shape[0]
        codes[i] = _search(vectors, codebook, codes, rows, 0, i, 0, math.inf, True)[0]


def _first_tile_only(vectors, codebook, codes):
    i = cuda.grid(1)
    if i < vectors.shape[0]:
        rows = min(THREADS, codebook.shape[0])
        codes[i] = _search(vectors, codebook, codes, rows, 0, i, 0, math.inf, False)[0]


def _no_barrier(vectors, codebook, codes):
    tile = cuda.shared.array((THREADS, D), numba.float64)
    i, lane = cuda.grid(1), cuda.threadIdx.x
    best, smallest = 0, math.inf
    for start in range(0, codebook.shape[0], THREADS):
        rows = min(THREADS, codebook.shape[0] - start)
        if lane < rows:
            for d in range(D):
                tile[lane, d] = codebook[start + lane, d]
        if i < vectors.shape[0]:
            best, smallest = _search(vectors, tile, codes, rows, start, i, best, smallest, False)
    if i < vectors.shape[0]:
        codes[i] = best


CHECKS = [check_scale, check_nearest, check_reads]
MUTANTS = {
    "no test for the end": {"scale": cuda.jit(_scale_without_test)},
    "last element left out (off by one)": {"scale": cuda.jit(_scale_one_off)},
    "every thread scales everything": {"scale": cuda.jit(_scale_all)},
    "every thread reads the codebook": {"nearest_code": cuda.jit(_global_reads)},
    "last of equal codes": {"nearest_code": cuda.jit(_last_of_ties)},
    "first tile only": {"nearest_code": cuda.jit(_first_tile_only)},
    "no barrier": {"nearest_code": cuda.jit(_no_barrier)},
}
