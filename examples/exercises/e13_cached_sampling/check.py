"""Checks of e13."""

import copy
import gc
import tracemalloc

import numpy as np

from examples.exercises.checking import Wrong, array, same, unchanged
from examples.exercises.e13_cached_sampling import solution


def draw(rng):
    """A list of three layers of random widths and lengths."""
    widths = rng.integers(2, 6, size=4)
    return [
        rng.standard_normal((int(rng.integers(2, 5)), a, b))
        for a, b in zip(widths, widths[1:], strict=False)
    ]


def slow(x, layers, relu=True):
    """The formula, a place and a tap at a time."""
    for number, w in enumerate(layers):
        y = np.zeros((len(x), w.shape[2]))
        for i in range(len(x)):
            for t in range(len(w)):
                if i - t >= 0:
                    y[i] += x[i - t] @ w[t]
        x = np.maximum(y, 0) if relu and number < len(layers) - 1 else y
    return x


def compare(outputs, x, layers, name):
    """Compare the outputs at all places, [(D,), ...], with those of the full pass."""
    expected, width = slow(x, layers), layers[-1].shape[2]
    for i, output in enumerate(outputs):
        array(output, f"{name}, the output at place {i}", (width,))
    late = np.concatenate([np.zeros((1, width)), expected[:-1]])
    mistakes = {
        "ReLU follows the last layer, too": np.maximum(expected, 0),
        "no ReLU follows any layer": slow(x, layers, relu=False),
        "the weights of the taps are in the reverse order": slow(x, [w[::-1] for w in layers]),
        "a place sees the input of the one before": late,
    }
    same(np.array(outputs), expected, f"{name}, the output (place, channel)", mistakes=mistakes)


def fed(stack, x):
    """What comes out at the next place; x (C,) must stay as it is."""
    return copy.copy(unchanged([x], stack.step, "step"))


def check_equal(answer, rng):
    """Tasks 1, 2: every output equals the full pass's."""
    layers = draw(rng)
    x, stack = rng.standard_normal((9, len(layers[0][0]))), answer.Cached(layers)
    compare([fed(stack, one) for one in x], x, layers, "a sequence")


def check_apart(answer, rng):
    """Tasks 1, 2: two samplers do not share a cache, and the weights are not changed."""
    layers = draw(rng)
    before = [w.copy() for w in layers]
    x, y = rng.standard_normal((2, 6, len(layers[0][0])))
    first, second = answer.Cached(layers), answer.Cached(layers)
    pairs = [(fed(first, a), fed(second, b)) for a, b in zip(x, y, strict=True)]
    if any((w != former).any() for w, former in zip(layers, before, strict=True)):
        raise Wrong("the weights are others afterwards: they belong to the caller")
    compare([pair[0] for pair in pairs], x, layers, "one of two samplers")
    compare([pair[1] for pair in pairs], y, layers, "the other of two samplers")


def check_size(answer, rng):
    """Tasks 1, 2: each layer keeps its latest T inputs, however long the sequence."""
    channels, steps = 2000, 100
    layers = [rng.standard_normal(shape) for shape in ((2, channels, 1), (3, 1, 2))]
    tracemalloc.start()
    try:
        stack = answer.Cached(layers)
        held = [_held(stack, rng, count, channels) for count in (10, steps)]
    finally:
        tracemalloc.stop()
    numbers = [size // 8 for size in held]
    if numbers[1] - numbers[0] > steps * channels / 10:
        raise Wrong(
            f"after 10 places memory for {numbers[0]} numbers is held, {steps} places later for "
            f"{numbers[1]}: a layer needs its latest T inputs only"
        )
    needed, weights = (
        sum(f(w) for w in layers) for f in (lambda w: w.shape[0] * w.shape[1], np.size)
    )
    allowed = 2 * needed + 2 * weights + 2000
    if numbers[1] > allowed:
        raise Wrong(
            f"memory for {numbers[1]} numbers is held, but the layers' latest T inputs are "
            f"{needed}, and the weights {weights}: keep nothing else"
        )


def _held(stack, rng, count, channels):
    """Bytes that are held after `count` more places."""
    for _ in range(count):
        stack.step(rng.standard_normal(channels))
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


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


_everything = []


class _GrowsElsewhere(solution.Cached):
    def step(self, x):
        _everything.append(x)
        return super().step(x)


class _GrowsInBase(solution.Cached):
    """Windows that are views of all there has ever been."""

    def step(self, x):
        past = self.latest.base if hasattr(self, "latest") else np.zeros((0, len(x)))
        self.latest = np.concatenate([x[None], past])[:2]
        return super().step(x)


class _RoomForAll(solution.Cached):
    def __init__(self, layers):
        super().__init__(layers)
        self.room = [np.zeros((500, w.shape[1])) for w in layers]


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
    "a list outside that grows": {"Cached": _GrowsElsewhere},
    "views of an array that grows": {"Cached": _GrowsInBase},
    "room for a whole sequence": {"Cached": _RoomForAll},
}
