"""Checks of e07."""

import numpy as np

from examples.exercises.checking import Wrong, same
from examples.exercises.e07_causal_mask import solution


def slow_taps(kernel_size, centre):
    """Number the window's places; those before the middle one are open."""
    half, taps = kernel_size // 2, []
    for number in range(kernel_size**2):
        if number < kernel_size**2 // 2 or (centre and number == kernel_size**2 // 2):
            taps.append((number // kernel_size - half, number % kernel_size - half))
    return taps


def check_taps(answer, rng):
    """Task 1: the taps before the centre, and the centre where it is open."""
    for kernel_size in (1, 3, 5, 7):
        for centre in (False, True):
            got, expected = answer.causal_taps(kernel_size, centre), slow_taps(kernel_size, centre)
            if got is None:
                raise Wrong("the taps are None: is a `return` missing?")
            got = [tuple(int(i) for i in tap) for tap in got]
            for tap in got:
                if tap not in expected:
                    what = "is the code itself" if tap == (0, 0) else "is later in raster order"
                    raise Wrong(f"{kernel_size}x{kernel_size}, centre {centre}: tap {tap} {what}")
            if got != expected:
                missing = [tap for tap in expected if tap not in got]
                why = f"{missing} are missing" if missing else "not in raster order"
                raise Wrong(f"{kernel_size}x{kernel_size}, centre {centre}: {why}")


def draw(rng):
    """(x, w, kernel size, centre)."""
    kernel_size, centre = int(rng.choice([3, 5])), bool(rng.integers(2))
    taps = kernel_size**2 // 2 + centre
    x = rng.standard_normal((2, *rng.integers(4, 7, size=2), 3))
    return x, rng.standard_normal((taps, 3, 2)), kernel_size, centre


def check_convolution(answer, rng):
    """Task 2: the convolution is the formula's, at the edges, too."""
    x, w, kernel_size, centre = draw(rng)
    expected = np.zeros((*x.shape[:3], 2))
    for n, i, j in np.ndindex(*x.shape[:3]):
        for (a, b), weight in zip(slow_taps(kernel_size, centre), w, strict=True):
            if 0 <= i + a < x.shape[1] and 0 <= j + b < x.shape[2]:
                expected[n, i, j] += x[n, i + a, j + b] @ weight
    same(answer.causal_convolution(x, w, kernel_size, centre), expected, "y")


def check_future(answer, rng):
    """Task 2: changing a place moves nothing before it, and itself only with an open centre."""
    x, w, kernel_size, centre = draw(rng)
    i, j = (int(rng.integers(n)) for n in x.shape[1:3])
    before = answer.causal_convolution(x, w, kernel_size, centre)
    changed = x.copy()
    changed[:, i, j] += 1
    moved = (answer.causal_convolution(changed, w, kernel_size, centre) != before).any(axis=(0, -1))
    for place in np.argwhere(moved):
        place = tuple(int(p) for p in place)
        if place < (i, j) or (place == (i, j) and not centre):
            raise Wrong(f"the output at {place} moved when the input at {(i, j)} did: a leak")


def _taps(rule):
    def taps(kernel_size, centre):
        half = kernel_size // 2
        offsets = range(-half, half + 1)
        return [(a, b) for a in offsets for b in offsets if rule(a, b, centre)]

    return taps


def _leaks_right(x, w, kernel_size, centre):
    return solution.causal_convolution(np.roll(x, -1, axis=2), w, kernel_size, centre)


def _wraps(x, w, kernel_size, centre):
    y = np.zeros((*x.shape[:3], w.shape[-1]))
    for (a, b), weight in zip(slow_taps(kernel_size, centre), w, strict=True):
        y += np.roll(x, (-a, -b), axis=(1, 2)) @ weight
    return y


CHECKS = [check_taps, check_convolution, check_future]
MUTANTS = {
    "centre always open (off by one)": {"causal_taps": _taps(lambda a, b, c: (a, b) <= (0, 0))},
    "centre never open": {"causal_taps": _taps(lambda a, b, c: (a, b) < (0, 0))},
    "whole row open": {"causal_taps": _taps(lambda a, b, c: a <= 0)},
    "nothing on the upper right": {
        "causal_taps": _taps(lambda a, b, c: a <= 0 and b <= 0 and ((a, b) != (0, 0) or c))
    },
    "columns before rows": {"causal_taps": _taps(lambda a, b, c: (b, a) < (0, 0) or a == b == 0)},
    "sees one place to the right": {"causal_convolution": _leaks_right},
    "wraps around the edges": {"causal_convolution": _wraps},
}
