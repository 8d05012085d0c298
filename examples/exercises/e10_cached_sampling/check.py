"""Checks of e10."""

import numpy as np

from examples.exercises.checking import Wrong, same
from examples.exercises.e10_cached_sampling import solution


def draw(rng):
    """A list of three layers of random widths and lengths."""
    widths = rng.integers(2, 6, size=4)
    return [
        rng.standard_normal((int(rng.integers(2, 5)), a, b))
        for a, b in zip(widths, widths[1:], strict=False)
    ]


def slow(x, layers):
    """The formula, a place and a tap at a time."""
    for number, w in enumerate(layers):
        y = np.zeros((len(x), w.shape[2]))
        for i in range(len(x)):
            for t in range(len(w)):
                if i - t >= 0:
                    y[i] += x[i - t] @ w[t]
        x = np.maximum(y, 0) if number < len(layers) - 1 else y
    return x


def compare(stack, x, layers, name):
    """Feed x place by place and compare each output."""
    for i, expected in enumerate(slow(x, layers)):
        same(stack.step(x[i].copy()), expected, f"{name}, the output at place {i}")


def check_equal(answer, rng):
    """Tasks 1, 2: every output equals the full pass's."""
    layers = draw(rng)
    compare(
        answer.Cached(layers), rng.standard_normal((9, len(layers[0][0]))), layers, "a sequence"
    )


def check_apart(answer, rng):
    """Tasks 1, 2: two samplers do not share a cache, and the weights are not changed."""
    layers = draw(rng)
    copies = [w.copy() for w in layers]
    x, y = rng.standard_normal((2, 6, len(layers[0][0])))
    first, second = answer.Cached(layers), answer.Cached(layers)
    for i in range(6):
        a, b = np.array(first.step(x[i])), np.array(second.step(y[i]))
        same(a, slow(x, layers)[i], f"one of two samplers, the output at place {i}")
        same(b, slow(y, layers)[i], f"the other of two samplers, the output at place {i}")
    for w, copy in zip(layers, copies, strict=True):
        same(w, copy, "the weights afterwards")


def kept(value, seen=None):
    """How many numbers an object holds."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, float | int):
        return 1
    if isinstance(value, dict):
        return sum(kept(v, seen) for v in value.values())
    if hasattr(value, "__dict__"):
        return kept(vars(value), seen)
    if hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        return sum(kept(v, seen) for v in value)
    return 0


def check_size(answer, rng):
    """Tasks 1, 2: the cache does not grow with the sequence."""
    layers = draw(rng)
    stack, sizes = answer.Cached(layers), []
    for i in range(60):
        stack.step(rng.standard_normal(len(layers[0][0])))
        if i in (19, 59):
            sizes.append(kept(stack))
    if sizes[1] > sizes[0]:
        raise Wrong(
            f"after 20 places it holds {sizes[0]} numbers, after 60 it holds {sizes[1]}: a layer "
            "needs its latest T inputs only"
        )
    needed = sum(w.shape[0] * w.shape[1] for w in layers)
    if sizes[1] < needed - sum(w.shape[1] for w in layers):
        raise Wrong("nothing is kept in the object: where is the cache?")


class _Recomputes:
    def __init__(self, layers):
        self.layers, self.inputs = layers, []

    def step(self, x):
        self.inputs.append(x)
        return slow(np.array(self.inputs), self.layers)[-1]


class _NewestLast(solution.Cached):
    def __init__(self, layers):
        super().__init__([w[::-1] for w in layers])


class _ReluAtTheEnd(solution.Cached):
    def step(self, x):
        return np.maximum(super().step(x), 0)


class _NoRelu(solution.Cached):
    def step(self, x):
        for w, window in zip(self.layers, self.windows, strict=True):
            window[1:], window[0] = window[:-1].copy(), x
            x = np.einsum("tc,tcd->d", window, w)
        return x


class _OneLate(solution.Cached):
    def step(self, x):
        former, self.former = getattr(self, "former", np.zeros_like(x)), x
        return super().step(former)


_shared = {}


class _Shared(solution.Cached):
    def __init__(self, layers):
        super().__init__(layers)
        self.windows = _shared.setdefault(id(layers), self.windows)


CHECKS = [check_equal, check_apart, check_size]
MUTANTS = {
    "recomputes everything": {"Cached": _Recomputes},
    "taps in the wrong order": {"Cached": _NewestLast},
    "ReLU after the last layer": {"Cached": _ReluAtTheEnd},
    "no ReLU": {"Cached": _NoRelu},
    "one place late": {"Cached": _OneLate},
    "one cache for all": {"Cached": _Shared},
}
