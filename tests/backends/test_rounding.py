"""Rounding errors of compiled loops: at most twice those of the references in float32.

At sizes that models have. Convolutions and products have such tests in files of their own.
"""

from functools import partial

import numpy as np
import pytest

from backends import kernels
from tests.cases import Draw, run

LENGTH, SEED = 600, 5


def attended(width, rate, dropout_on, draw):
    return (*(draw(2, LENGTH, width) for _ in range(3)), rate, SEED, dropout_on)


def attended_gradient(width, rate, dropout_on, draw):
    queries, keys, values, *settings = attended(width, rate, dropout_on, draw)
    exact = (a.astype(np.float64) for a in (queries, keys, values))
    saved = kernels.causal_attention.reference(*exact, *settings)
    saved = (a.astype(draw.dtype) for a in saved)
    return queries, keys, values, *saved, draw(2, LENGTH, width), *settings


def scores(draw):
    return 4 * draw(100, 512), draw.codes(512, 100)


def rows(draw):
    return draw(5000, 30)


INPUTS = {
    "attention-of-8-channels": (kernels.causal_attention, partial(attended, 8, 0.1, "logits")),
    "attention-of-32-channels": (kernels.causal_attention, partial(attended, 32, 0.0, "logits")),
    "attention-gradient": (
        kernels.causal_attention_gradient,
        partial(attended_gradient, 8, 0.1, "weights"),
    ),
    "attention-gradient-of-32-channels": (
        kernels.causal_attention_gradient,
        partial(attended_gradient, 32, 0.1, "logits"),
    ),
    "cross-entropy": (kernels.cross_entropy, scores),
    "cross-entropy-gradient": (
        kernels.cross_entropy_gradient,
        lambda draw: (*scores(draw), draw(100)),
    ),
    "elu": (kernels.elu, lambda draw: (rows(draw),)),
    "gate": (kernels.gate, lambda draw: (rows(draw),)),
    "gate-gradient": (kernels.gate_gradient, lambda draw: (rows(draw), draw(5000, 15))),
    "sums-of-rows": (kernels.sum_rows, lambda draw: (rows(draw),)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_errors_are_no_larger_than_twice_those_of_the_reference(name):
    kernel, build = INPUTS[name]
    exact = run(kernel, kernel.reference, build(Draw(np.float64)))
    plain = run(kernel, kernel.reference, build(Draw(np.float32)))
    fast = run(kernel, kernel.versions["numba"], build(Draw(np.float32)))
    for best, one, other in zip(exact, plain, fast, strict=True):
        known, ours = (np.sqrt(((x - best) ** 2).mean()) for x in (one, other))
        assert ours <= 2 * known, (ours, known)
