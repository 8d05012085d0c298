"""Checks of e17."""

import dis
import itertools
import math
import re

import numba
import numpy as np

from examples.exercises.checking import Wrong, same, unchanged
from examples.exercises.simulator import Counted, cuda, watched

THREADS, D = 8, 3
SIZES = ((5, 3), (THREADS, THREADS), (11, 2 * THREADS + 3))  # vectors, codes


def launch(kernel, count, *arguments):
    """Run enough blocks for `count` threads; a `Watch` on what they did."""
    if not hasattr(kernel, "py_func"):
        raise Wrong("it is no CUDA kernel: keep the line @cuda.jit above it")
    refuse_numpy(kernel.py_func)
    try:
        with watched() as watch:
            kernel[blocks(count), THREADS](*arguments)
    except Exception as error:
        text = re.sub(r"^tid=\[.*?\] ctaid=\[.*?\]:? ?", "", str(error))  # which thread it was
        if isinstance(error, IndexError):
            raise Wrong(
                f"a thread reached beyond an array ({text}): there are whole blocks of {THREADS} "
                f"threads for {count} elements, and whole tiles; ask before reading and writing"
            ) from None
        if isinstance(error, TypeError) and ("'Row'" in text or "'Counted'" in text):
            raise Wrong(
                f"a kernel computes with one number at a time, not with rows or arrays ({text})"
            ) from None
        raise type(error)(text).with_traceback(error.__traceback__) from None
    return watch


def blocks(count):
    """The number of blocks for `count` threads."""
    return max(1, -(-count // THREADS))


def refuse_numpy(function):
    """Raise `Wrong` when a kernel calls NumPy: the simulator runs that, no GPU does."""
    for one, other in itertools.pairwise(dis.get_instructions(function)):
        value = function.__globals__.get(one.argval) if one.opname == "LOAD_GLOBAL" else None
        value = getattr(np, other.argval) if value is np else value
        home = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        if home.startswith("numpy") and not isinstance(value, type):
            raise Wrong(
                f"the kernel uses {value.__name__} of NumPy, which no GPU has: a kernel knows "
                "loops, indices, arithmetic and `math`"
            )


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
    for count, size in SIZES:
        vectors, codebook, codes, _ = search(answer, rng, count, size)
        expected = slow(vectors, codebook)
        mistakes = {
            "nothing is written": np.full(count, -1),
            "places in a tile are taken for codes": expected % THREADS,
            "only the first tile is searched": slow(vectors, codebook[:THREADS]),
        }
        same(codes, expected, f"codes of {count} vectors, out of {size}", mistakes=mistakes)


def search(answer, rng, count, size):
    """(vectors, codebook, codes, `Watch`) of one launch with `count` vectors and `size` codes."""
    vectors = rng.integers(-2, 3, (count, D)) * 1.0  # whole numbers: distances are exact
    codebook = rng.integers(-2, 3, (size, D)) * 1.0
    codes = np.full(count, -1)
    watch = unchanged(
        [vectors, codebook],
        lambda v, c: launch(answer.nearest_code, count, Counted(v), Counted(c), codes),
        "nearest_code",
    )
    return vectors, codebook, codes, watch


def check_barriers(answer, rng):
    """Task 2: all threads of a block reach every barrier, and no two race for a shared number."""
    for count, size in SIZES:
        *_, watch = search(answer, rng, count, size)
        for block in range(blocks(count)):
            reached = [watch.barriers[block, thread] for thread in range(THREADS)]
            if len(set(reached)) > 1:
                few, many = reached.index(min(reached)), reached.index(max(reached))
                raise Wrong(
                    f"with {count} vectors, thread {many} of block {block} reaches {max(reached)} "
                    f"barriers and thread {few} only {min(reached)}: on a GPU they wait for ever; "
                    "no barrier may stand inside a test that threads answer differently, nor "
                    "behind a return of some of them"
                )
        if watch.races:
            place, writer, reader = min(watch.races)
            raise Wrong(
                f"thread {writer} writes number {list(place)} of the shared array, and thread "
                f"{reader} reads it, with no barrier between: which of them comes first is chance"
            )


def check_tile(answer, rng):
    """Task 2: the shared array has the size of a tile, however large the codebook."""
    shapes = [search(answer, rng, 5, size)[-1].shapes for size in (THREADS, 2 * THREADS + 3)]
    if shapes[0] != shapes[1]:
        raise Wrong(
            f"the shared array has shape {max(shapes[0])} for {THREADS} codes and "
            f"{max(shapes[1])} for {2 * THREADS + 3}: its shape must be known when the kernel is "
            "compiled, and the codebook is too large for it; use (THREADS, D)"
        )


def check_reads(answer, rng):
    """Task 2: every block reads the codebook once, not every thread."""
    count, size = 2 * THREADS, 2 * THREADS
    vectors, codebook = rng.standard_normal((count, D)), Counted(rng.standard_normal((size, D)))
    codes = np.full(count, -1)
    launch(answer.nearest_code, count, Counted(vectors), codebook, codes)
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


def _shared(where, wait_after_load=True, wait_after_use=True, returns_early=False, rows=None):
    """The right kernel with its barriers elsewhere, or another shared array."""

    def kernel(vectors, codebook, codes):
        tile = cuda.shared.array((rows or codebook.shape[0], D), numba.float64)
        i, lane = cuda.grid(1), cuda.threadIdx.x
        best, smallest = 0, math.inf
        if returns_early and i >= vectors.shape[0]:
            return
        for start in range(0, codebook.shape[0], THREADS):
            count = min(THREADS, codebook.shape[0] - start)
            if lane < count:
                for d in range(D):
                    tile[lane, d] = codebook[start + lane, d]
            if wait_after_load and where == "loop":
                cuda.syncthreads()
            if i < vectors.shape[0]:
                if where == "branch":
                    cuda.syncthreads()
                best, smallest = _search(vectors, tile, codes, count, start, i, best, smallest, 0)
                if where == "branch":
                    cuda.syncthreads()
            if wait_after_use and where == "loop":
                cuda.syncthreads()
        if i < vectors.shape[0]:
            codes[i] = best

    return cuda.jit(kernel)


def _numpy_sum(vectors, codebook, codes):
    i = cuda.grid(1)
    if i < vectors.shape[0]:
        best, smallest = 0, math.inf
        for k in range(codebook.shape[0]):
            distance = np.sum((vectors[i] - codebook[k]) ** 2)
            if distance < smallest:
                best, smallest = k, distance
        codes[i] = best


def _rows(vectors, codebook, codes):
    i = cuda.grid(1)
    if i < vectors.shape[0]:
        difference = vectors[i] - codebook[0]
        codes[i] = difference[0]


CHECKS = [check_scale, check_nearest, check_barriers, check_tile, check_reads]
MUTANTS = {
    "no test for the end": {"scale": cuda.jit(_scale_without_test)},
    "last element left out (off by one)": {"scale": cuda.jit(_scale_one_off)},
    "every thread scales everything": {"scale": cuda.jit(_scale_all)},
    "every thread reads the codebook": {"nearest_code": cuda.jit(_global_reads)},
    "last of equal codes": {"nearest_code": cuda.jit(_last_of_ties)},
    "first tile only": {"nearest_code": cuda.jit(_first_tile_only)},
    "no barrier": {"nearest_code": _shared("nowhere", rows=THREADS)},
    "barriers in a branch": {"nearest_code": _shared("branch", rows=THREADS)},
    "no barrier after loading": {"nearest_code": _shared("loop", False, rows=THREADS)},
    "no barrier after use": {"nearest_code": _shared("loop", True, False, rows=THREADS)},
    "some threads return early": {
        "nearest_code": _shared("loop", returns_early=True, rows=THREADS)
    },
    "shared memory of run-time size": {"nearest_code": _shared("loop")},
    "NumPy in the kernel": {"nearest_code": cuda.jit(_numpy_sum)},
    "arithmetic with rows": {"nearest_code": cuda.jit(_rows)},
}
