"""The prediction of data-parallel training: what a step sends, and how long that takes."""

import dataclasses

import pytest

from tests.small import CONFIG
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.lab import counting
from vqv2.lab.plan import scaling
from vqv2.lab.plan.models import models
from vqv2.training import parallel

CASES = models(CONFIG, classes=3)


def gradients(case):
    """Bytes of all gradients."""
    return 4 * counting.model(case).parameter_count()


def test_an_autoencoder_sends_gradients_and_codebooks():
    case = CASES["autoencoder"]
    config = dataclasses.replace(case.config, restart_after=0)
    sizes = scaling.messages(dataclasses.replace(case, config=config), 2)
    codebook = 4 * config.codebook_size * (config.codebook_dimension + 1)
    expected = [codebook] * len(config.levels) + [gradients(case), 8, 8]  # the loss, and to stop
    assert sorted(sizes) == sorted(expected)


@pytest.mark.parametrize(("recompute", "passes"), [(False, 2), (True, 3)])
def test_a_prior_sends_the_moments_of_its_batch_normalisations(recompute, passes):
    case = CASES["prior bottom"]
    case = dataclasses.replace(case, config=dataclasses.replace(case.config, recompute=recompute))
    norms = counting.model(case).conditioning.stack.blocks
    moments = [2 * 4 * block.normalization.scale.shape[0] for block in norms] * passes
    assert sorted(scaling.messages(case, 2)) == sorted([*moments, gradients(case), 8, 8])
    assert len(scaling.messages(case, 2, parts=4)) == 4 * (len(moments) + 1) + 2


def test_gradients_go_in_buckets(monkeypatch):
    case = dataclasses.replace(CASES["prior top"], batch=3)
    scaling._messages.cache_clear()
    monkeypatch.setattr(parallel, "BUCKET", 2**11)
    sizes = scaling.messages(case, 4)
    scaling._messages.cache_clear()
    assert sum(sizes) == gradients(case) + 8 + 8
    assert len(sizes) > 4


def test_a_sum_takes_a_rings_bytes_and_a_trees_hops():
    link = scaling.Link("a link", 1e9)
    seconds = scaling.sum_seconds(1e9, 4, link)
    assert seconds == pytest.approx(4 * scaling.HOP_SECONDS + 1.5 / scaling.LINK_EFFICIENCY)


def test_a_batch_must_be_divisible():
    assert scaling.share_of(64, 8) == 8
    with pytest.raises(InputError, match="64 cannot be divided among 3"):
        scaling.share_of(64, 3)


def test_plan_shows_one_device_and_several(capsys):
    arguments = ["plan", "--preset", "demo", "--device", "a100", "--classes", "10"]
    assert main([*arguments, "--devices", "4", "--link", "infiniband200"]) == 0
    shown = capsys.readouterr().out
    assert "training on 1 device:" in shown
    assert "training on 4 devices, sums over InfiniBand" in shown
    assert main([*arguments, "--devices", "2", "--link", "string"]) == 2
    assert "there is no link 'string': choose one of nvlink4" in capsys.readouterr().err
    assert main([*arguments, "--devices", "0"]) == 2
    assert main([*arguments, "--devices", "1"]) == 0
    assert "devices, sums over" not in capsys.readouterr().out
