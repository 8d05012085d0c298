"""Our side of the training steps: forward, backward, Adam with Polyak averaging."""

import backends
from vqv2.config import AutoencoderConfig
from vqv2.lab import counting
from vqv2.lab.bench.cases import build_model, training_case, training_data, training_step
from vqv2.lab.bench.subject import Subject

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
    step = training_step(build_model(case), training_data(case), case.config.precision)
    flops = counting.training_step(case.computed_once()).operations
    if isinstance(case.config, AutoencoderConfig):
        return Subject(step, flops, units=case.batch, unit="image")
    return Subject(step, flops, units=case.batch * case.size**2, unit="code")
