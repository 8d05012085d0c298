"""Checks of e16."""

import math
import re

import numba
import numpy as np

from examples.exercises.checking import Wrong, kind, same, unchanged

ALLOCATIONS = re.compile("NRT_(MemInfo_alloc|MemInfo_new|Allocate)")  # Numba's names in its code


def roomy(array):
    """(a copy, the ones behind it in memory): nothing keeps a kernel from leaving an array."""
    buffer = np.ones(array.size + 64, array.dtype)
    copy = buffer[: array.size].reshape(array.shape)
    copy[...] = array
    return copy, buffer[array.size :]


def call(kernel, name, *arguments):
    """Run a kernel on inputs and, last, its output; what it writes to anything else is `Wrong`.

    Raises what it raises, with a word of explanation for Numba's own errors.
    """
    if not hasattr(kernel, "py_func") and not numba.config.DISABLE_JIT:
        raise Wrong(f"{name} is not compiled: keep the line @numba.njit above it")
    copies, behind = zip(*map(roomy, arguments), strict=True)
    try:
        result = unchanged(copies[:-1], lambda *inputs: kernel(*inputs, copies[-1]), name)
    except numba.core.errors.NumbaError as error:
        raise Wrong(explained(error, name)) from None
    if result is not None:
        raise Wrong(f"{name} returned {kind(result)}: a kernel returns nothing, it writes out[i]")
    if any((numbers != 1).any() for numbers in behind):
        raise Wrong(f"{name} wrote beyond the end of an array: the last index is its size - 1")
    out = arguments[-1]
    out[...] = copies[-1]
    if out.size and np.isnan(out).all():
        raise Wrong(f"{name} wrote nothing into out, or NaN everywhere")


def explained(error, name):
    """Numba's message as a sentence: which line it could not compile, and why."""
    text = re.sub(r"^Failed in .*\n", "", re.sub(r"\x1b\[[0-9;]*m", "", str(error)))
    unknown = re.search(r">>> (.*)", text)
    reason = f"it knows no {unknown[1]}" if unknown else text.split("\n")[0].rstrip(":. ")
    place = re.search(r'File ".*", line (\d+):\n(?:.*\n)*?\s*(.*)\n\s*\^', text)
    where = f"line {place[1]}, `{place[2]}`" if place else name
    return f"Numba cannot compile {where}: {reason}"


def check_allocations(kernel, name, *arguments):
    """Raise `Wrong` when the compiled code asks for memory: for an array, a list, a copy.

    There is none while NUMBA_DISABLE_JIT has it run as plain Python: then that is "not yet" known.
    """
    call(kernel, name, *arguments)
    if numba.config.DISABLE_JIT:
        raise NotImplementedError("run it without NUMBA_DISABLE_JIT: there is no compiled code")
    if kernel.stats.cache_hits:  # the code of an earlier process, of which only the binary is left
        kernel = numba.njit(kernel.py_func)
        call(kernel, name, *arguments)
    if any(ALLOCATIONS.search(code) for code in kernel.inspect_llvm().values()):
        raise Wrong(
            f"{name} is compiled, but makes an array or a list on the way: keep one number at a "
            "time, in loops over indices (a * b of arrays, np.exp of an array, a slice times a "
            "number, .copy() and [... for ...] all make one)"
        )


def check_gate(answer, rng):
    """Task 1: the gate is the formula's, for every length, and writes nothing else."""
    for count in (0, 1, 7, 100):
        (a, b), out = 3 * rng.standard_normal((2, count)), np.full(count, np.nan)
        call(answer.gate, "gate", a, b, out)
        expected = [x / (1 + math.exp(-y)) for x, y in zip(a, b, strict=True)]
        exchanged = [y / (1 + math.exp(-x)) for x, y in zip(a, b, strict=True)]
        same(out, np.array(expected), "the gate",
             mistakes={"a and b are exchanged": np.array(exchanged)})  # fmt: skip


def check_gate_far(answer, rng):
    """Task 1: the gate is right far from zero."""
    a, b = 1 + rng.random(4), np.array([-800.0, 800.0, -40.0, 40.0])
    out = np.full(4, np.nan)
    call(answer.gate, "gate", a, b, out)
    expected = np.array([0, a[1], a[2] * math.exp(-40), a[3]])
    same(out, expected, "for b of -800, 800, -40 and 40, the gate", 1e-12)


def check_gate_arrays(answer, rng):
    """Task 1: the gate makes no arrays."""
    check_allocations(answer.gate, "gate", *rng.standard_normal((3, 5)))


def check_entropy(answer, rng):
    """Task 2: the cross-entropy is the formula's."""
    for count, codes in ((1, 1), (5, 7), (30, 3)):
        logits, targets = rng.standard_normal((count, codes)), rng.integers(codes, size=count)
        out = np.full(count, np.nan)
        call(answer.cross_entropy, "cross_entropy", logits, targets, out)
        rows = zip(logits, targets, strict=True)
        expected = [math.log(sum(math.exp(v) for v in row)) - row[k] for row, k in rows]
        same(out, np.array(expected), "the cross-entropy")


def check_entropy_large(answer, rng):
    """Task 2: logits of plus or minus 1000 overflow nothing, wherever the largest is."""
    for largest in (0, 3):
        for level in (1000.0, -1000.0):
            row = rng.standard_normal(4)
            row[largest] += 3
            out = np.full(1, np.nan)
            call(answer.cross_entropy, "cross_entropy", row[None] + level, np.array([2]), out)
            expected = math.log(sum(math.exp(v) for v in row)) - row[2]
            same(out, np.array([expected]), f"the cross-entropy around {level:.0f}", 1e-8)


def check_entropy_arrays(answer, rng):
    """Task 2: the cross-entropy makes no arrays of its own."""
    logits, targets = rng.standard_normal((4, 6)), rng.integers(6, size=4)
    check_allocations(answer.cross_entropy, "cross_entropy", logits, targets, np.zeros(4))


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
def _one_beyond(a, b, out):
    for i in range(a.size + 1):
        out[i] = a[i] / (1 + math.exp(-b[i]))


@numba.njit
def _array_expression(a, b, out):
    out[:] = a / (1 + np.exp(-b))


@numba.njit
def _an_array_for_every_row(logits, targets, out):
    for i in range(logits.shape[0]):
        peak = logits[i].max()
        out[i] = np.log(np.exp(logits[i] - peak).sum()) + peak - logits[i, targets[i]]


@numba.njit
def _into_the_logits(logits, targets, out):
    for i in range(logits.shape[0]):
        peak, total = logits[i].max(), 0.0
        for k in range(logits.shape[1]):
            logits[i, k] -= peak
            total += math.exp(logits[i, k])
        out[i] = math.log(total) - logits[i, targets[i]]


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


CHECKS = [
    check_gate,
    check_gate_far,
    check_gate_arrays,
    check_entropy,
    check_entropy_large,
    check_entropy_arrays,
]
MUTANTS = {
    "NumPy instead of a kernel": {"gate": _plain_gate},
    "a and b exchanged": {"gate": _gates_exchanged},
    "one element short": {"gate": _one_short},
    "one element too many": {"gate": _one_beyond},
    "an array expression": {"gate": _array_expression},
    "an array for every row": {"cross_entropy": _an_array_for_every_row},
    "overwrites the logits": {"cross_entropy": _into_the_logits},
    "overflows": {"cross_entropy": _no_peak},
    "leaves the first code out": {"cross_entropy": _first_as_peak},
}
