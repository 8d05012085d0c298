"""The prediction of data-parallel training: the messages are those that a step really sends."""

import dataclasses
import math

import numpy as np
import pytest

from backends import array_module
from tests.small import AUTOENCODER, CONFIG
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.lab.plan import cost, scaling
from vqv2.lab.plan import device as plan
from vqv2.models.autoencoder import Autoencoder
from vqv2.optim import Adam
from vqv2.run import build_prior
from vqv2.training import parallel


class Counting:
    """Process 0 of two, whose peer has the same arrays; notes the bytes of every sum."""

    rank, size = 0, 2

    def __init__(self):
        self.sizes = []

    def all_reduce(self, array):
        """Twice the array."""
        self.sizes.append(array.nbytes)
        return array + array

    def all_gather(self, array):
        """The array two times."""
        self.sizes.append(array.nbytes)
        return array_module(array).stack([array, array])


def sent_in_a_step(model, inputs, rng):
    """Sizes of what one training step sums, apart from the loss and whether to stop."""
    communicator = Counting()
    optimizer = Adam(model.parameters(), 0.5)
    model.distribute(communicator)
    for _ in range(2):  # the first step starts the codebooks, too
        communicator.sizes.clear()
        result = model.loss(*inputs, rng=rng)
        loss = result[0] if isinstance(result, tuple) else result
        loss.backward()
        parallel.average_gradients(optimizer.parameters, communicator)
        optimizer.step(0.0)
    return sorted(communicator.sizes)


def counted(model_cost, config):
    sizes = scaling.messages(model_cost, config)
    sizes.remove(4), sizes.remove(4)  # loss, stop
    return sorted(size for size in sizes if size)


def test_an_autoencoders_messages():
    config = dataclasses.replace(AUTOENCODER, restart_after=0)
    rng = np.random.default_rng(0)
    images = rng.random((4, 16, 16, 3), dtype=np.float32)
    sizes = sent_in_a_step(Autoencoder(config, rng), (images,), rng)
    assert sizes == counted(cost.autoencoder(config), config)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_priors_messages(recompute):
    prior = dataclasses.replace(CONFIG.prior("bottom"), recompute=recompute)
    config = CONFIG.with_prior("bottom", prior)
    rng = np.random.default_rng(0)
    codes, top = rng.integers(12, size=(4, 8, 8)), rng.integers(12, size=(4, 4, 4))
    inputs = (codes, rng.integers(3, size=4), [top])
    sizes = sent_in_a_step(build_prior(config, "bottom", 3, 0), inputs, rng)
    assert sizes == counted(cost.prior(prior, 12, 8, [(12, 4)], 3), prior)


def test_gradients_go_in_buckets():
    big = cost.Cost(parameters=parallel.BUCKET)
    sizes = scaling.messages(big, CONFIG.prior("top"))
    assert sum(sizes) == 4 * parallel.BUCKET + 8
    assert max(sizes) == parallel.BUCKET


def test_a_sum_takes_a_rings_bytes_and_a_trees_hops():
    link = scaling.Link("a link", 1e9)
    seconds = scaling.sum_seconds(1e9, 4, link)
    assert seconds == pytest.approx(4 * scaling.HOP_SECONDS + 1.5 / scaling.LINK_EFFICIENCY)


def test_more_devices_compute_less_each_and_send():
    on, over = plan.device("a100"), scaling.link("nvlink3")
    config = CONFIG.prior("bottom")
    model = cost.prior(config, 12, 8, [(12, 4)], 3)
    steps = [scaling.scaling(model, config, 64, n, on, over) for n in (1, 2, 8)]
    assert [step.share for step in steps] == [64, 32, 8]
    assert steps[0].sending == 0 and steps[0].efficiency == 1
    assert steps[0].computing > steps[1].computing > steps[2].computing
    assert steps[1].efficiency > steps[2].efficiency
    with pytest.raises(InputError, match="64 cannot be divided among 3"):
        scaling.scaling(model, config, 64, 3, on, over)


def test_plan_shows_it(capsys):
    arguments = ["plan", "--preset", "imagenet256", "--device", "a100", "--classes", "10"]
    assert main([*arguments, "--devices", "128", "--link", "infiniband200"]) == 0
    shown = capsys.readouterr().out
    assert "training on 128 devices" in shown and "InfiniBand" in shown
    assert main([*arguments, "--devices", "2", "--link", "string"]) == 2
    assert "there is no link 'string': choose one of nvlink4" in capsys.readouterr().err
    assert main([*arguments, "--devices", "0"]) == 2
    assert main(arguments) == 0
    assert "training on" not in capsys.readouterr().out


def test_a_share_that_does_not_fit_is_said_so(capsys):
    on, over = plan.device("rtx4090"), scaling.link("pcie4")
    under_way = cost.under_way(10**6)
    big = cost.Cost(parameters=10**6, activations=10**9, operations=10**9, **under_way)
    step = scaling.scaling(big, CONFIG.prior("top"), 64, 2, on, over)
    assert step.recomputed and math.isnan(step.seconds)
    saving = dataclasses.replace(big, spared=99 * 10**7, recomputing=4 * 10**6)
    step = scaling.scaling(saving, CONFIG.prior("top"), 64, 2, on, over)
    assert step.recomputed and step.seconds > 0
    step = scaling.scaling(saving, CONFIG.prior("top"), 2, 2, on, over)
    assert not step.recomputed and step.seconds > 0
