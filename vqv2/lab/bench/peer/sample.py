"""The peer's side of sampling: a pass over the whole map for every code."""

from vqv2.errors import InputError
from vqv2.lab.bench.cases import training_data
from vqv2.lab.bench.peer import device
from vqv2.lab.bench.peer.framework import torch
from vqv2.lab.bench.peer.train import build_model, to_tensors
from vqv2.lab.bench.sample import chosen_case
from vqv2.lab.bench.subject import Subject


def build(name, model, fraction=1.0, storage="float32"):
    """ "map" of one level: every position costs one pass, so one pass says what all take."""
    if name != "map":
        raise InputError(f"the peer does not measure {name!r}")
    case = chosen_case(**model)
    prior, data = build_model(case).eval(), to_tensors(case, training_data(case))
    positions = case.size**2

    def draw():
        with torch.no_grad():
            logits = prior(*data)[:, :, -1, -1]
            torch.distributions.Categorical(logits=logits).sample()

    return Subject(lambda: device.seconds_of(draw)[0] * positions, extrapolates=True)
