"""Predicting memory and time of training and sampling on a device, from counted work.

A prediction, not a measurement: it adds up the time of the matrix products and that of the memory
traffic at a share of the device's published figures, `EFFICIENCY`, which is assumed. Nothing here
has been compared with a device.
"""

import dataclasses

from vqv2 import cost
from vqv2.errors import InputError

GIB = 2**30
EFFICIENCY = 0.6  # assumed: share of the published speed that large products and copies reach
LAUNCH_SECONDS = 5e-6  # assumed: the host starts a kernel in that time
LAUNCHES_PER_LAYER = 9  # to sample one position: counted where the real cupy's driver is replaced
WORKSPACE = 1.5 * GIB  # the driver's context, cuBLAS, patches of convolutions, partial sums
USABLE = 0.92  # share of the memory that can be filled in practice
NUMBER = 4  # bytes of a float32


@dataclasses.dataclass(frozen=True)
class Device:
    """Published figures of a device: bytes, operations per second in dense products, bytes/s."""

    name: str
    memory: float
    float32: float
    tf32: float
    bandwidth: float


DEVICES = {
    "a100": Device("NVIDIA A100 SXM 80 GB", 80e9, 19.5e12, 156e12, 2.039e12),
    "h100": Device("NVIDIA H100 SXM 80 GB", 80e9, 67e12, 494e12, 3.35e12),
    "h200": Device("NVIDIA H200 SXM 141 GB", 141e9, 67e12, 494e12, 4.8e12),
    "rtx4090": Device("NVIDIA GeForce RTX 4090 24 GB", 24e9, 82.6e12, 82.6e12, 1.008e12),
}


def device(name):
    """The device `name`. Raises `InputError` listing what there is."""
    if name not in DEVICES:
        raise InputError(f"there is no device {name!r}: choose one of {', '.join(DEVICES)}")
    return DEVICES[name]


@dataclasses.dataclass(frozen=True)
class Training:
    """What training one model takes; bytes and seconds."""

    weights: int
    gradients: int
    adam: int  # two moments
    polyak: int
    activations: int  # per image
    largest_batch: int
    seconds: float  # per step of `batch` images, or of the largest batch that fits
    batch: int


def training(model_cost, batch, on, precision="float32"):
    """`Training` of a model with steps of `batch` images; `on` is a `Device`."""
    weights = model_cost.parameters * NUMBER
    activations = model_cost.activations * NUMBER
    free = on.memory * USABLE - WORKSPACE - 5 * weights
    largest = max(0, int(free // activations))
    used = min(batch, largest) if largest else 0
    return Training(
        weights,
        weights,
        2 * weights,
        weights,
        activations,
        largest,
        step_seconds(model_cost, used, on, precision) if used else float("nan"),
        used,
    )


def step_seconds(model_cost, batch, on, precision="float32"):
    """Seconds of one training step: backward costs twice the products of forward."""
    operations = 3 * model_cost.operations * batch
    # Forward, and in the two gradients, patches are written and read; a kept result is written and
    # read, its gradient too, and both are read once more; Adam reads five arrays and writes four.
    patches = 6 * model_cost.patches * batch
    activations = 6 * model_cost.activations * batch
    numbers = patches + activations + 9 * model_cost.parameters
    return operations / (EFFICIENCY * getattr(on, precision)) + numbers * NUMBER / (
        EFFICIENCY * on.bandwidth
    )


def sampling_seconds(model_cost, layers, positions, batch, on, precision="float32"):
    """Seconds per map of drawing `batch` maps side by side, position after position."""
    launching = layers * LAUNCHES_PER_LAYER * LAUNCH_SECONDS
    streaming = model_cost.streamed * NUMBER / (EFFICIENCY * on.bandwidth)
    computing = 2 * model_cost.streamed * batch / (EFFICIENCY * getattr(on, precision))
    return positions * max(launching, streaming, computing) / batch


def models(config, classes):
    """[(name, `Cost` per image, its `AutoencoderConfig` or `PriorConfig`, size of its map)]."""
    a = config.autoencoder
    found = [("autoencoder", cost.autoencoder(a), a, a.image_size)]
    for i, level in enumerate(config.levels):
        prior = config.prior(level)
        coarser = [(a.codebook_size, size) for size in a.latent_sizes[:i]]
        size, told = a.latent_sizes[i], classes if config.conditional else 0
        counted = cost.prior(prior, a.codebook_size, size, coarser, told)
        found.append((f"prior {level}", counted, prior, size))
    return found
