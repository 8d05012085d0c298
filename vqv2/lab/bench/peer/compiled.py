"""The peer's training steps, whose models `torch.compile` has compiled."""

from vqv2.lab.bench.peer import train


def build(name, **options):
    """As `train.build`."""
    return train.build(name, compiled=True, **options)
