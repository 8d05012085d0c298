"""Our side of the training steps: forward, backward, Adam with Polyak averaging."""

import numpy as np

import backends
from vqv2.config import AutoencoderConfig
from vqv2.lab.bench.cases import training_case, training_data
from vqv2.lab.bench.counting import counted
from vqv2.lab.bench.subject import Subject
from vqv2.lab.bench.weights import QuickNormal
from vqv2.models.autoencoder import Autoencoder
from vqv2.models.prior import Prior
from vqv2.optim import Adam

LEARNING_RATE = 2e-4  # Table 3; it does not matter to the time
POLYAK_DECAY = 0.9999  # Tables 1 to 3
_SHALLOW = {"layers": 1, "attention_layers": 1, "output_stack_layers": 1, "conditioning_blocks": 2}


def prepare(name):
    """Compile or load the kernels on small models: that is no part of a step's memory.

    On a tiny one; in compiled loops, which have others for larger maps, on a shallow one, too.
    """
    build(name, scale="tiny").run()
    if backends.current() == "numba":
        build(name, settings=shallow(name)).run()


def shallow(name):
    """Settings that leave one layer of each kind of a training case, as wide as it is."""
    config = training_case(name).config
    return {field: n for field, n in _SHALLOW.items() if getattr(config, field, 0)}


def build(name, **options):
    """One training step of `cases.training_case(name, **options)` as a `Subject`."""
    case = training_case(name, **options)
    model, data = build_model(case), training_data(case)
    step = training_step(model, data, case.config.precision)
    with counted() as count:
        loss_of(model, data, np.random.default_rng(0))  # also fills an autoencoder's codebooks
    if isinstance(case.config, AutoencoderConfig):
        return Subject(step, count.total, units=case.batch, unit="image")
    return Subject(step, count.total, units=case.batch * case.size**2, unit="code")


def build_model(case, weights=None):
    """The `Autoencoder` or `Prior` of a case; `weights` draws them (default: `QuickNormal`)."""
    weights = weights or QuickNormal()
    if isinstance(case.config, AutoencoderConfig):
        return Autoencoder(case.config, weights)
    return Prior(case.config, case.codes, case.size, weights, case.coarser, case.classes)


def loss_of(model, data, rng):
    """The loss, a tensor, of either model on `cases.training_data`."""
    loss = model.loss(*data, rng=rng)
    return loss[0] if isinstance(loss, tuple) else loss


def training_step(model, data, precision):
    """A function that trains for one step in a precision and returns the loss, a tensor."""
    optimizer = Adam(model.parameters(), POLYAK_DECAY, precision=precision)
    rng = np.random.default_rng(0)

    def step():
        with backends.use(precision=precision):
            loss = loss_of(model, data, rng)
            optimizer.backward(loss)
            optimizer.step(LEARNING_RATE)
        return loss

    return step
