"""Answers as a backend: the library computes with what was written for the exercises.

Which kernels an answer makes is in `adapters`; those that none makes are left to the reference.
"""

import contextlib
import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np

import backends
from backends import kernels

from . import grading
from .adapters import ADAPTERS, kernels_of

NAME = "mine"


def read(paths):
    """{exercise: module} of the answers in files {exercise: path}; those not there are left out.

    In the place of one that cannot be loaded stands the `Wrong` that says why.
    """
    answers = {}
    for exercise, path in paths.items():
        if path.is_file():
            try:
                answers[exercise] = grading.load(path)
            except grading.Wrong as error:
                answers[exercise] = error
    return answers


def inputs(rng):
    """{kernel: arguments} on which a kernel is held against its reference: small and awkward."""

    def draw(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    x, w, dy = draw(2, 7, 6, 3), draw(4, 4, 3, 5), draw(2, 3, 3, 5)
    q, k, v, read = draw(2, 3, 9, 4), draw(2, 3, 9, 4), draw(2, 3, 9, 5), draw(2, 3, 9, 5)
    attended, log_normalizer = kernels.causal_attention.reference(q, k, v, 0.0, 0, "logits")
    saved = (q, k, v, attended, log_normalizer)
    codes = rng.integers(0, 7, 40)
    return {
        "conv2d": (x, w, 2, 1),
        "conv2d_weight_gradient": (x, dy, 4, 2, 1),
        "conv2d_input_gradient": (dy, w, 2, 1, 7, 6),
        "adam_update": (*draw(3, 5), np.abs(draw(5)), draw(5), 3, 0.1, 0.9, 0.99, 1e-8, 0.9),
        "nearest_code": (draw(700, 6), draw(7, 6)),
        "codebook_statistics": (draw(40, 6), codes, 8),
        "causal_conv2d": (x, draw(13, 3, 5), 5),
        "causal_attention": (q, k, v, 0.0, 0, "logits"),
        "causal_attention_gradient": (*saved, read, 0.0, 0, "logits"),
        "gate_block": (draw(2, 4, 4, 3), draw(2, 4, 4, 6), draw(6), None, draw(2, 6), 0.3, 7),
        "cross_entropy": (10 * draw(40, 7), codes),
    }


@dataclass
class Verdict:
    """What came of one kernel: `state` is "yours", "not yet" or "wrong", and why."""

    exercise: str
    kernel: str
    state: str
    reason: str = ""


def compare(answers, rng):
    """({kernel: function} of those that agree with their references, [`Verdict`, ...] of all).

    `answers` is as `read` gives it, or {exercise: anything with its functions}. Nothing is
    registered yet.
    """
    found, verdicts, given = {}, [], inputs(rng)
    for exercise in ADAPTERS:
        answer = answers.get(exercise)
        for function in kernels_of(exercise, answer):
            name = function.__name__
            if answer is None:
                judged = ("not yet", "not handed in")
            elif isinstance(answer, grading.Wrong):
                judged = ("wrong", str(answer))
            else:
                judged = _judge(function, given[name])
            verdicts.append(Verdict(exercise, name, *judged))
            if verdicts[-1].state == "yours":
                found[name] = function
    return found, verdicts


def _judge(function, arguments):
    """("yours", ""), ("not yet", task) or ("wrong", what is)."""
    reference = getattr(kernels, function.__name__).reference
    try:
        pairs = list(zip(_run(function, arguments), _run(reference, arguments), strict=True))
    except NotImplementedError as error:
        return "not yet", str(error)
    except Exception as error:  # whatever an answer may raise
        return "wrong", f"{type(error).__name__}: {error}".split("\n")[0]
    for one, other in pairs:
        if one is other is None:  # of a kernel that writes into its arguments
            continue
        if one is None:
            return "wrong", "it returned None: is a `return` missing?"
        if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
            return "wrong", f"{one.dtype} of shape {one.shape}, not {other.dtype} of {other.shape}"
        far = ~np.isclose(one, other, rtol=1e-4, atol=1e-5)
        if far.any():
            return "wrong", f"{far.sum()} of {far.size} numbers differ from the reference's"
    return "yours", ""


def _run(function, arguments):
    """What a kernel returns, and what it leaves of the arrays that it was given."""
    copies = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    result = function(*copies)
    outputs = result if isinstance(result, tuple) else (result,)
    return [*outputs, *(a for a in copies if isinstance(a, np.ndarray))]


@contextlib.contextmanager
def plugged_in(functions):
    """Inside, the library computes with {kernel: function}, and with the reference for the rest.

    Gives a `Counter` of how many times each was called. Afterwards all is as it was before, also
    when something is raised.
    """
    calls = Counter()
    backends.register(NAME, otherwise="reference")
    try:
        for name, function in functions.items():
            getattr(kernels, name).version(NAME)(_counted(function, calls))
        with backends.use(NAME):
            yield calls
    finally:
        backends.unregister(NAME)


def _counted(function, calls):
    @functools.wraps(function)
    def counted(*arguments, **keywords):
        calls[function.__name__] += 1
        return function(*arguments, **keywords)

    return counted
