"""The peer's side of the training steps."""

from vqv2.bench.cases import training_case, training_data
from vqv2.bench.peer.autoencoder import Autoencoder
from vqv2.bench.peer.framework import torch
from vqv2.bench.peer.prior import Prior
from vqv2.bench.subject import Subject
from vqv2.config import AutoencoderConfig

LEARNING_RATE = 2e-4
POLYAK_DECAY = 0.9999


def prepare(name):
    """Let PyTorch load what it loads late, on a tiny model."""
    build(name, scale="tiny").run()


def build(name, **options):
    """One training step of `cases.training_case(name, **options)`; operations are not counted."""
    torch.manual_seed(0)
    case = training_case(name, **options)
    model = build_model(case)
    data = to_tensors(case, training_data(case))
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    averages = [parameter.detach().clone() for parameter in model.parameters()]

    def step():
        optimizer.zero_grad()
        model.loss(*data).backward()
        optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(averages, model.parameters(), strict=True):
                average.lerp_(parameter, 1 - POLYAK_DECAY)

    return Subject(step)


def build_model(case):
    """The peer's model of a case, training."""
    if isinstance(case.config, AutoencoderConfig):
        return Autoencoder(case.config)
    return Prior(case.config, case.codes, case.size, case.coarser, case.classes)


def to_tensors(case, data):
    """`cases.training_data` for PyTorch, images as (N, C, H, W)."""
    if isinstance(case.config, AutoencoderConfig):
        return (torch.from_numpy(data[0]).permute(0, 3, 1, 2).contiguous(),)
    codes, label, coarser = data
    label = None if label is None else torch.from_numpy(label)
    return torch.from_numpy(codes), label, [torch.from_numpy(c) for c in coarser]
