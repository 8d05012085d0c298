"""Checks of e11."""

import math
import os

import numba
import numpy as np

from examples.exercises.checking import Wrong, same


def call(kernel, *arguments):
    """Run a kernel; raise what it raises, with a word of explanation for Numba's own errors."""
    if not hasattr(kernel, "py_func") and not os.environ.get("NUMBA_DISABLE_JIT"):
        raise Wrong(f"{kernel.__name__} is not compiled: keep the line @numba.njit above it")
    try:
        kernel(*arguments)
    except numba.core.errors.NumbaError as error:
        text = " ".join(str(error).split())[:200]
        raise Wrong(f"Numba cannot compile it: {text}") from None


def check_gate(answer, rng):
    """Task 1: the gate is the formula's, for every length, and writes nothing else."""
    for count in (0, 1, 7, 100):
        a, b = rng.standard_normal(count), 3 * rng.standard_normal(count)
        out = np.full(count + 1, np.nan)
        copies = a.copy(), b.copy()
        call(answer.gate, a, b, out[:count])
        expected = [x / (1 + math.exp(-y)) for x, y in zip(a, b, strict=True)]
        same(out[:count], np.array(expected), "the gate")
        if not (np.array_equal(a, copies[0]) and np.array_equal(b, copies[1])):
            raise Wrong("the kernel changed its inputs")


def check_gate_far(answer, rng):
    """Task 1: the gate is right far from zero."""
    a, b = 1 + rng.random(4), np.array([-800.0, 800.0, -40.0, 40.0])
    out = np.zeros(4)
    call(answer.gate, a, b, out)
    same(out, np.array([0, a[1], a[2] * math.exp(-40), a[3]]), "the gate", 1e-12)


def check_entropy(answer, rng):
    """Task 2: the cross-entropy is the formula's."""
    for count, codes in ((1, 1), (5, 7), (30, 3)):
        logits, targets = rng.standard_normal((count, codes)), rng.integers(codes, size=count)
        out = np.zeros(count)
        call(answer.cross_entropy, logits, targets, out)
        rows = zip(logits, targets, strict=True)
        expected = [math.log(sum(math.exp(v) for v in row)) - row[k] for row, k in rows]
        same(out, np.array(expected), "the cross-entropy")


def check_entropy_large(answer, rng):
    """Task 2: logits of plus or minus 1000 overflow nothing, wherever the largest is."""
    for largest in (0, 3):
        for level in (1000.0, -1000.0):
            row = rng.standard_normal(4)
            row[largest] += 3
            out = np.zeros(1)
            call(answer.cross_entropy, row[None] + level, np.array([2]), out)
            expected = math.log(sum(math.exp(v) for v in row)) - row[2]
            same(out, np.array([expected]), f"the cross-entropy around {level:.0f}", 1e-8)


def _plain_gate(a, b, out):
    out[:] = a / (1 + np.exp(-np.clip(b, -700, 700)))


@numba.njit
def _gates_exchanged(a, b, out):
    for i in range(a.size):
        out[i] = b[i] / (1 + math.exp(-a[i]))


@numba.njit
def _one_short(a, b, out):
    for i in range(a.size - 1):
        out[i] = a[i] / (1 + math.exp(-b[i]))


@numba.njit
def _no_peak(logits, targets, out):
    for i in range(logits.shape[0]):
        total = 0.0
        for k in range(logits.shape[1]):
            total += math.exp(logits[i, k])
        out[i] = math.log(total) - logits[i, targets[i]]


@numba.njit
def _first_as_peak(logits, targets, out):
    for i in range(logits.shape[0]):
        total = 0.0
        for k in range(1, logits.shape[1]):
            total += math.exp(logits[i, k] - logits[i, 0])
        out[i] = math.log(total + 1e-300) + logits[i, 0] - logits[i, targets[i]]


CHECKS = [check_gate, check_gate_far, check_entropy, check_entropy_large]
MUTANTS = {
    "NumPy instead of a kernel": {"gate": _plain_gate},
    "a and b exchanged": {"gate": _gates_exchanged},
    "one element short": {"gate": _one_short},
    "overflows": {"cross_entropy": _no_peak},
    "leaves the first code out": {"cross_entropy": _first_as_peak},
}
