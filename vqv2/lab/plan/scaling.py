"""Predicting data-parallel training: what its processes send each other, and how long it takes.

A prediction, not a measurement: the messages of `vqv2.training.parallel` are counted from the
configuration, one after the other and not while the devices compute, over a link at
`LINK_EFFICIENCY` of its published speed. Nothing here has been compared with devices.
"""

import dataclasses
import math

from vqv2.config import AutoencoderConfig
from vqv2.errors import InputError
from vqv2.lab.plan import device as plan
from vqv2.training.parallel import BUCKET

LINK_EFFICIENCY = 0.7  # assumed: share of the published speed that a large sum reaches
HOP_SECONDS = 10e-6  # assumed: until a message is under way from one device to the next
NUMBER = plan.NUMBER  # bytes of a float32


@dataclasses.dataclass(frozen=True)
class Link:
    """Published bytes per second that a device can send, and receive at the same time."""

    name: str
    bandwidth: float


LINKS = {
    "nvlink4": Link("NVLink 4 (H100, H200)", 450e9),
    "nvlink3": Link("NVLink 3 (A100)", 300e9),
    "pcie4": Link("PCI Express 4.0 x16", 31.5e9),
    "infiniband400": Link("InfiniBand, 400 Gbit/s per device", 50e9),
    "infiniband200": Link("InfiniBand, 200 Gbit/s per device", 25e9),
    "ethernet100": Link("Ethernet, 100 Gbit/s per device", 12.5e9),
    "ethernet10": Link("Ethernet, 10 Gbit/s per device", 1.25e9),
}


def link(name):
    """The link `name`. Raises `InputError` listing what there is."""
    if name not in LINKS:
        raise InputError(f"there is no link {name!r}: choose one of {', '.join(LINKS)}")
    return LINKS[name]


def messages(model_cost, config):
    """[bytes of each sum over all devices] in one training step of a model.

    The gradients in messages of at most `BUCKET`; for each level of an autoencoder the codebook's
    counts and sums; for each batch normalisation of a prior two numbers per channel forwards (again
    where activations are recomputed) and backwards; the loss, and whether to stop.
    """
    gradients = model_cost.parameters * NUMBER
    sizes = [BUCKET] * (gradients // BUCKET) + [gradients % BUCKET, NUMBER, NUMBER]
    if isinstance(config, AutoencoderConfig):
        codebook = config.codebook_size * (config.codebook_dimension + 1) * NUMBER
        return sizes + [codebook] * len(config.levels)
    passes = 3 if config.recompute else 2
    for channels, blocks in _normalizations(config):
        sizes += [2 * channels * NUMBER] * (passes * blocks)
    return sizes


def _normalizations(config):
    """(channels, how many) batch normalisations of the conditioning stack, by resolution."""
    half, units = config.conditioning_blocks // 2, config.conditioning_units
    return (
        (units, 2 * half),
        (2 * units, 2 * half),
        (2 * units, config.conditioning_blocks),
    )


def sum_seconds(size, devices, over):
    """Seconds to sum `size` bytes over devices: each sends and receives 2 (n - 1) / n of them."""
    hops = 2 * math.ceil(math.log2(devices))
    sent = 2 * (devices - 1) / devices * size
    return hops * HOP_SECONDS + sent / (LINK_EFFICIENCY * over.bandwidth)


@dataclasses.dataclass(frozen=True)
class Scaling:
    """One training step on several devices; seconds are NaN where a share does not fit."""

    share: int  # images per device
    recomputed: bool  # activation recomputation, where the share does not fit without
    computing: float  # seconds
    sent: float  # bytes that each device sends
    sending: float  # seconds

    @property
    def seconds(self):
        """Of the whole step."""
        return self.computing + self.sending

    @property
    def efficiency(self):
        """The part of the time in which the devices compute."""
        return self.computing / self.seconds


def scaling(model_cost, config, batch, devices, on, over, precision="float32"):
    """`Scaling` of steps of `batch` images on `devices` devices like `on`, joined by `over`.

    Raises `InputError` when the batch cannot be divided evenly.
    """
    if batch % devices:
        raise InputError(f"a batch of {batch} cannot be divided among {devices} devices")
    share = batch // devices
    plain, recomputed = (
        plan.training(model_cost, share, on, precision, saves) for saves in (False, True)
    )
    saves = config.recompute or plain.batch < share
    needs = recomputed if saves else plain
    computing = needs.seconds if needs.batch == share else math.nan
    config = dataclasses.replace(config, recompute=saves)
    sizes = messages(model_cost, config) if devices > 1 else []
    return Scaling(
        share,
        saves,
        computing,
        2 * (devices - 1) / devices * sum(sizes),
        sum(sum_seconds(size, devices, over) for size in sizes),
    )
