"""Checks of e11."""

import math

import numpy as np

from examples.exercises.checking import (
    Wrong,
    array,
    gradient_is_right,
    nudged,
    same,
    unchanged,
)
from examples.exercises.e11_causal_attention import solution


def draw(rng, size=1.0):
    """(q, k, v) of random sizes; d > 1, so that sqrt(d) is not 1."""
    length, d, e = (int(n) for n in rng.integers((3, 2, 1), (8, 5, 4)))
    q, k = size * rng.standard_normal((2, length, d))
    return q, k, rng.standard_normal((length, e))


def slow(q, k):
    """The formula, a pair of places at a time."""
    w = np.zeros((len(q), len(q)))
    for i in range(len(q)):
        scores = [float(q[i] @ k[j]) / math.sqrt(q.shape[1]) for j in range(i)]
        for j in range(i):
            w[i, j] = 1 / sum(math.exp(min(700, s - scores[j])) for s in scores)
    return w


def check_weights(answer, rng):
    """Task 1: the weights are the formula's."""
    q, k, _ = draw(rng)
    same(unchanged([q, k], answer.weights, "weights"), slow(q, k), "w", mistakes=mistakes(q, k))


def mistakes(q, k):
    """What comes out of the weights when something is forgotten."""
    root = math.sqrt(q.shape[1])
    unmasked = np.exp(q @ k.T / root)
    return {
        "the mask comes after the softmax": np.tril(
            unmasked / unmasked.sum(axis=1, keepdims=True), -1
        ),
        "the scores are not divided by sqrt(d)": slow(q * root, k),
        "the scores are divided by d": slow(q / root, k),
        "queries and keys are exchanged": slow(k, q),
    }


def check_first(answer, rng):
    """Task 1: the first place, and everything in the future, has weight exactly zero."""
    q, k, _ = draw(rng)
    w = array(answer.weights(q, k), "w", (len(q), len(q)))
    if not (w[0] == 0).all():
        row = ", ".join(f"{value:.3g}" for value in w[0])
        raise Wrong(f"the first row is [{row}]: place 0 has nobody to read from, and reads zero")
    if np.triu(w).any():
        i, j = (int(n) for n in np.argwhere(np.triu(w))[0])
        raise Wrong(f"w[{i}, {j}] = {w[i, j]:.3g}: place {i} reads {'itself' if i == j else j}")


def check_large(answer, rng):
    """Task 1: scores in the thousands overflow nothing, wherever the largest one is."""
    q, k, _ = draw(rng, 60.0)
    with np.errstate(all="ignore"):
        same(answer.weights(q, k), slow(q, k), "w, for large scores,")
        k[-1] = 50 * q[1]
        same(answer.weights(q, k), slow(q, k), "w, with the largest score in the future,")


def check_attention(answer, rng):
    """Task 2: every place reads the weighted values, the first exactly zero."""
    q, k, v = draw(rng)
    got = unchanged([q, k, v], answer.attention, "attention")
    expected = {words: w @ v for words, w in mistakes(q, k).items()}
    expected["the weights are transposed"] = slow(q, k).T @ v
    same(got, slow(q, k) @ v, "what is read", mistakes=expected)
    if np.asarray(got)[0].any():
        raise Wrong(f"the first place reads {got[0]}, not exactly zero")


def check_gradient(answer, rng):
    """Task 3: the gradients agree with nudging, and are no nudging themselves."""
    q, k, v = draw(rng)
    gradient_is_right(
        lambda q, k, v: slow(q, k) @ v,
        lambda dy: answer.attention_gradient(q, k, v, dy),
        [q, k, v],
        rng,
        "attention_gradient",
        ["the queries", "the keys", "the values"],
        exact=lambda dy: solution.attention_gradient(q, k, v, dy),
    )


def _softmax(mask_offset, scale=True, fallback=False):
    def weights(q, k):
        allowed = np.tril(np.ones((len(q), len(q)), bool), mask_offset)
        scores = q @ k.T / (math.sqrt(q.shape[1]) if scale else math.sqrt(q.shape[1]) * 1.1)
        w = np.where(allowed, np.exp(np.where(allowed, scores - scores.max(1)[:, None], 0)), 0)
        total = w.sum(axis=1, keepdims=True)
        if fallback:
            return np.where(total == 0, 1 / len(q), w / np.maximum(total, 1e-300))
        return w / np.maximum(total, 1e-300)

    return weights


def _overflow(q, k):
    w = np.tril(np.exp(q @ k.T / math.sqrt(q.shape[1])), -1)
    return w / np.maximum(w.sum(axis=1, keepdims=True), 1e-300)


def _without_the_sum(q, k, v, dy):
    w = solution.weights(q, k)
    ds = w * (dy @ v.T) / math.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, w.T @ dy


def _zero_for_keys(q, k, v, dy):
    dq, dk, dv = solution.attention_gradient(q, k, v, dy)
    return dq, dk * 0, dv


CHECKS = [check_weights, check_first, check_large, check_attention, check_gradient]
MUTANTS = {
    "reads itself (off by one)": {"weights": _softmax(0)},
    "reads the future": {"weights": _softmax(1)},
    "first place reads everything": {"weights": _softmax(-1, fallback=True)},
    "another scale": {"weights": _softmax(-1, scale=False)},
    "overflows": {"weights": _overflow},
    "the largest score of the future counts": {"weights": _softmax(-1)},
    "softmax gradient without its sum": {"attention_gradient": _without_the_sum},
    "nudging instead of a formula": {
        "attention_gradient": lambda q, k, v, dy: nudged(solution.attention, (q, k, v), dy)
    },
    "zero gradient of the keys": {"attention_gradient": _zero_for_keys},
}
