"""Advice for trainings much shorter than the paper's."""

import dataclasses
import re

import pytest

from vqv2.config import ClassifierConfig, replace
from vqv2.optim import prior_learning_rate
from vqv2.presets import PRESETS
from vqv2.training.record import advice

PAPER = PRESETS["imagenet256"]


def test_presets_at_their_own_lengths_need_none():
    for preset in PRESETS.values():
        assert [advice(part) for part in (preset.autoencoder, *preset.priors)] == [[]] * (
            1 + len(preset.priors)
        )
    assert advice(ClassifierConfig()) == []


@pytest.mark.parametrize("steps", [1, 500, 3000, 40_000])
@pytest.mark.parametrize("level", [0, 1])
def test_a_prior_that_follows_the_advice_reaches_the_papers_rate_in_time(steps, level):
    config = dataclasses.replace(PAPER.priors[level], steps=steps)
    (sentence,) = [one for one in advice(config) if "learning rate" in one]
    assert f"ends at step {steps}" in sentence
    followed = replace(config, dict(re.findall(r"--set (\w+)=(\S+)", sentence)))
    assert not [one for one in advice(followed) if "learning rate" in one]
    rates = [prior_learning_rate(step, followed) for step in range(1, steps + 1)]
    highest = prior_learning_rate(46_908, config)
    assert max(rates) == pytest.approx(highest, rel=0.02)
    assert steps < 100 or rates.index(max(rates)) + 1 == pytest.approx(steps / 10, rel=0.05)


def test_a_short_autoencoder_is_told_of_restarts_and_of_the_held_out_loss():
    restarts, held_out = advice(dataclasses.replace(PAPER.autoencoder, steps=400))
    assert "restart_after=20" in restarts and "--validate-every 40" in held_out
    never = dataclasses.replace(PAPER.autoencoder, steps=400, restart_after=0)
    assert advice(never, validate_every=90) == []
