"""Checks of e10."""

import contextlib
import numbers

import numpy as np

from examples.exercises.checking import Wrong, array, kind, same, unchanged
from examples.exercises.e10_causal_mask import solution


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
            where = f"{kernel_size}x{kernel_size}, centre {centre}"
            got, expected = answer.causal_taps(kernel_size, centre), slow_taps(kernel_size, centre)
            got = as_pairs(got, where)
            for tap in got:
                if tap not in expected:
                    raise Wrong(f"{where}: tap {tap} {_why_not(tap, kernel_size // 2)}")
            missing = [tap for tap in expected if tap not in got]
            if missing:
                raise Wrong(f"{where}: {missing} are missing")
            if len(set(got)) < len(got):
                raise Wrong(f"{where}: a tap stands there twice in {got}")
            if got != expected:
                raise Wrong(f"{where}: the taps are not in raster order: {got}")


def as_pairs(taps, where):
    """A list of pairs of whole numbers."""
    if taps is None:
        raise Wrong("the taps are None: is a `return` missing?")
    if not isinstance(taps, list | tuple | set | np.ndarray):
        raise Wrong(f"{where}: the taps are {kind(taps)}, not a list of pairs")
    for tap in taps:
        pair = isinstance(tap, tuple | list | np.ndarray) and np.shape(tap) == (2,)
        if not pair or not all(isinstance(offset, numbers.Integral) for offset in tap):
            raise Wrong(
                f"{where}: tap {tap!r} is no pair of whole numbers, (row offset, column offset)"
            )
    return [tuple(int(offset) for offset in tap) for tap in taps]


def _why_not(tap, half):
    if max(map(abs, tap)) > half:
        return f"lies outside the window: offsets from its centre go from {-half} to {half}"
    return "is the centre, which is closed" if tap == (0, 0) else "is later in raster order"


def draw(rng, kernel_size):
    """(x, w, centre) for a kernel size."""
    centre = bool(rng.integers(2))
    taps = kernel_size**2 // 2 + centre
    x = rng.standard_normal((2, *rng.integers(4, 7, size=2), 3))
    return x, rng.standard_normal((taps, 3, 2)), centre


def check_convolution(answer, rng):
    """Task 2: the convolution is the formula's, at the edges, too."""
    for kernel_size in (3, 5, 7):
        x, w, centre = draw(rng, kernel_size)
        with taps_first(answer, kernel_size, centre):
            got = unchanged(
                [x, w],
                lambda x, w, k=kernel_size, c=centre: answer.causal_convolution(x, w, k, c),
                "task 2",
            )
            expected = _slow_convolution(x, w, slow_taps(kernel_size, centre))
            same(got, expected, f"{kernel_size}x{kernel_size}, centre {centre}: y")


def _slow_convolution(x, w, taps):
    y = np.zeros((*x.shape[:3], w.shape[-1]))
    for n, i, j in np.ndindex(*x.shape[:3]):
        for (a, b), weight in zip(taps, w, strict=True):
            if 0 <= i + a < x.shape[1] and 0 <= j + b < x.shape[2]:
                y[n, i, j] += x[n, i + a, j + b] @ weight
    return y


@contextlib.contextmanager
def taps_first(answer, kernel_size, centre):
    """Whatever goes wrong inside is blamed on the taps, if these are wrong, too."""
    try:
        yield
    except Exception:
        taps = answer.causal_taps(kernel_size, centre)
        if not np.array_equal(taps, slow_taps(kernel_size, centre)):
            raise Wrong("the taps of task 1 are not right yet: see to them first") from None
        raise


def check_future(answer, rng):
    """Task 2: changing a place moves nothing before it, and itself only with an open centre."""
    kernel_size = int(rng.choice([3, 5, 7]))
    x, w, centre = draw(rng, kernel_size)
    i, j = (int(rng.integers(n)) for n in x.shape[1:3])
    changed = x.copy()
    changed[:, i, j] += 1
    with taps_first(answer, kernel_size, centre):
        before, after = (
            array(answer.causal_convolution(a, w, kernel_size, centre), "y", (*x.shape[:3], 2))
            for a in (x.copy(), changed)
        )
    moved = (after != before).any(axis=(0, -1))
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


def _pads_with_two(x, w, kernel_size, centre):
    padded = np.pad(x, ((0, 0), (2, 0), (2, 2), (0, 0)))
    y = np.zeros((*x.shape[:3], w.shape[-1]))
    for (a, b), weight in zip(slow_taps(kernel_size, centre), w, strict=True):
        y += padded[:, 2 + a : 2 + a + x.shape[1], 2 + b : 2 + b + x.shape[2]] @ weight
    return y


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
    "two zeros of padding for every window": {"causal_convolution": _pads_with_two},
    "wraps around the edges": {"causal_convolution": _wraps},
}
