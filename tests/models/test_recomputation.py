"""Activation recomputation: the same step, with less memory.

The prior's is the same to the last bit. The autoencoder's computes parts of a batch one after the
other: the same loss and codebooks, and gradients up to the rounding of their sums.
"""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from tests.small import AUTOENCODER, PRIOR
from vqv2.models.autoencoder import Autoencoder
from vqv2.models.prior import Prior

DEEP = dataclasses.replace(PRIOR, layers=8, output_stack_layers=4, dropout=0.2)
CONDITIONED = dataclasses.replace(DEEP, conditioning_blocks=8, conditioning_units=8)


def autoencoder(recompute):
    config = dataclasses.replace(AUTOENCODER, layers=3, recompute=recompute)
    return Autoencoder(config, np.random.default_rng(0)), lambda model, rng: model.loss(
        np.random.default_rng(1).random((4, 16, 16, 3), np.float32), rng
    )[0]


def prior(config, coarser):
    def build(recompute):
        changed = dataclasses.replace(config, recompute=recompute)
        model = Prior(changed, 12, 16, np.random.default_rng(0), coarser, classes=3)
        draw = np.random.default_rng(1)
        codes = draw.integers(0, 12, (4, 16, 16))
        coarse = [draw.integers(0, k, (4, s, s)) for k, s in coarser]
        return model, lambda model, rng: model.loss(codes, np.arange(4) % 3, coarse, rng)

    return build


MODELS = {
    "autoencoder": autoencoder,
    "prior": prior(DEEP, ()),
    "conditioned prior": prior(CONDITIONED, ((12, 4), (12, 8))),
}


def step(build, recompute):
    """(loss, {name: gradient}, {name: buffer}, peak bytes) of one training step."""
    model, loss_of = build(recompute)
    rng = np.random.default_rng(2)
    tracemalloc.start()
    try:
        loss = loss_of(model, rng)
        loss.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    gradients = {name: p.grad for name, p in model.parameters().items()}
    return loss.item(), gradients, model.buffers(), peak, rng.random()


@pytest.mark.parametrize("name", MODELS)
def test_a_recomputed_step_is_the_plain_one(name):
    plain, saving = (step(MODELS[name], recompute) for recompute in (False, True))
    assert plain[0] == saving[0] and plain[4] == saving[4]
    rounding = 1e-5 if name == "autoencoder" else 0
    for ours, theirs, tolerance in zip(plain[1:3], saving[1:3], (rounding, 0), strict=True):
        assert list(ours) == list(theirs)
        for key, value in ours.items():
            atol = tolerance * np.abs(value).max()
            np.testing.assert_allclose(value, theirs[key], rtol=0, atol=atol, err_msg=key)


@pytest.mark.parametrize("coarser", [(), ((12, 4), (12, 8))], ids=["prior", "conditioned prior"])
def test_a_recomputed_layer_takes_less_than_two_fifths_of_the_memory(coarser):
    config = CONDITIONED if coarser else DEEP

    def further_layers(recompute):
        deep = dataclasses.replace(config, layers=24)
        for build in (prior(config, coarser), prior(deep, coarser)):
            step(build, recompute)  # what is compiled or imported on first use
        shallow, deeper = (step(prior(c, coarser), recompute)[3] for c in (config, deep))
        return deeper - shallow

    assert 0 < further_layers(recompute=True) < 0.4 * further_layers(recompute=False)
