"""Checks of e08."""

import numpy as np

from examples.exercises.checking import Wrong, array, same, several, unchanged
from examples.exercises.e08_two_levels import solution


def draw(rng):
    """(x (H, W, D), top codebook, bottom codebook); the top's code vectors are coarse."""
    height, width, depth = 2 * int(rng.integers(2, 4)), 2 * int(rng.integers(4, 6)), 3
    x = 3 * rng.standard_normal((height, width, depth))
    return x, 2 * rng.standard_normal((4, depth)), rng.standard_normal((7, depth))


def slow(x, top_codebook, bottom_codebook):
    """(means, top, bottom), a place at a time."""
    height, width, depth = x.shape
    means = np.zeros((height // 2, width // 2, depth))
    for i, j in np.ndindex(height, width):
        means[i // 2, j // 2] += x[i, j] / 4
    top = np.zeros(means.shape[:2], int)
    for i, j in np.ndindex(top.shape):
        top[i, j] = _nearest(means[i, j], top_codebook)
    bottom = np.zeros((height, width), int)
    for i, j in np.ndindex(bottom.shape):
        bottom[i, j] = _nearest(x[i, j] - top_codebook[top[i // 2, j // 2]], bottom_codebook)
    return means, top, bottom


def _nearest(vector, codebook):
    distances = [float(((vector - e) ** 2).sum()) for e in codebook]
    return distances.index(min(distances))


def check_coarse(answer, rng):
    """Task 1: the means of 2x2 blocks."""
    x, *codebooks = draw(rng)
    mistakes = {"one place of each block is taken": x[::2, ::2]}
    same(unchanged([x], answer.coarse, "coarse"), slow(x, *codebooks)[0], "the means",
         mistakes=mistakes)  # fmt: skip


def check_encode(answer, rng):
    """Task 2: the top says what it can, the bottom what the top's code vectors leave."""
    x, top_codebook, bottom_codebook = draw(rng)
    means, top, bottom = slow(x, top_codebook, bottom_codebook)
    got = unchanged([x, top_codebook, bottom_codebook], answer.encode, "encode")
    got = several(got, ("top", "bottom"), "encode")
    for codes, name in zip(got, ("top", "bottom"), strict=True):
        if array(codes, f"the {name}").dtype.kind not in "iu":
            raise Wrong(f"the {name} has dtype {np.asarray(codes).dtype}: codes are whole numbers")
    same(got[0], top, "the top")
    blocks = means.repeat(2, axis=0).repeat(2, axis=1)
    mistakes = {
        "the bottom is not told the top": solution.nearest(x, bottom_codebook),
        "the means are subtracted, not the code vectors that replace them": solution.nearest(
            x - blocks, bottom_codebook
        ),
        "the top is tiled over the map, not each of its places over 2x2": solution.nearest(
            x - np.tile(top_codebook[top], (2, 2, 1)), bottom_codebook
        ),
    }
    same(got[1], bottom, "the bottom", mistakes=mistakes)


def check_decode(answer, rng):
    """Task 3: both levels add up, and the top alone is coarse."""
    x, *codebooks = draw(rng)
    _, top, bottom = slow(x, *codebooks)
    right = np.zeros(x.shape)
    for i, j in np.ndindex(bottom.shape):
        right[i, j] = codebooks[0][top[i // 2, j // 2]]
    alone = answer.decode(top.copy(), None, *codebooks)
    same(alone, right, "the map of the top alone")
    got = unchanged([top, bottom, *codebooks], answer.decode, "decode")
    mistakes = {"the bottom is left out": right, "the top is left out": codebooks[1][bottom]}
    same(got, right + codebooks[1][bottom], "the map of both levels", mistakes=mistakes)


def _not_told(x, top_codebook, bottom_codebook):
    top, _ = solution.encode(x, top_codebook, bottom_codebook)
    return top, solution.nearest(x, bottom_codebook)


def _means_subtracted(x, top_codebook, bottom_codebook):
    means = solution.coarse(x).repeat(2, axis=0).repeat(2, axis=1)
    top, _ = solution.encode(x, top_codebook, bottom_codebook)
    return top, solution.nearest(x - means, bottom_codebook)


CHECKS = [check_coarse, check_encode, check_decode]
MUTANTS = {
    "one place of each block": {"coarse": lambda x: x[::2, ::2]},
    "blocks of rows only": {"coarse": lambda x: (x[::2, ::2] + x[1::2, ::2]) / 2},
    "the bottom is not told": {"encode": _not_told},
    "the means are subtracted": {"encode": _means_subtracted},
    "top and bottom exchanged": {"encode": lambda *a: solution.encode(*a)[::-1]},
    "the bottom alone": {
        "decode": lambda top, bottom, t, b: b[bottom] if bottom is not None else 0
    },
    "the top alone": {"decode": lambda top, bottom, t, b: solution.decode(top, None, t, b)},
}
