"""Predicting memory and time of training and sampling on a device, from counted work.

A prediction, not a measurement: it adds up the time of the matrix products and that of the memory
traffic at a share of the device's published figures, `EFFICIENCY`, which is assumed. Of the traffic
of a training step it knows patches, kept results and Adam; results that come and go, rounding and
launches it leaves out, which for the paper's priors is as much again (`tests/device/count.py`).
Nothing here has been compared with a device; the memory of a step (`peak_bytes`) has been with a
processor.
Memory is the same in every precision: only factors of products are rounded, in `WORKSPACE`.
"""

import dataclasses
import math

from backends.cupy.sampling_step import FEW_ROWS
from vqv2.errors import InputError
from vqv2.lab.plan import cost

GIB = 2**30
EFFICIENCY = 0.6  # assumed: share of the published speed that large products and copies reach
LAUNCH_SECONDS = 5e-6  # assumed: the host starts a kernel in that time
LAUNCHES_PER_LAYER = 9  # to sample one position: counted where the real cupy's driver is replaced
RECORDED_SECONDS = 2e-6  # assumed: from one kernel of a recording to the next
WORKSPACE = 1.5 * GIB  # the driver's context, cuBLAS, patches of convolutions, partial sums
USABLE = 0.92  # share of the memory that can be filled in practice
NUMBER = 4  # bytes of a float32


@dataclasses.dataclass(frozen=True)
class Device:
    """Published figures of a device: bytes, operations per second in dense products, bytes/s.

    `half` is that of float16 and bfloat16, summed up in float32.
    """

    name: str
    memory: float
    float32: float
    tf32: float
    half: float
    bandwidth: float

    def speed(self, precision):
        """Operations per second of products in a precision."""
        return getattr(self, {"float16": "half", "bfloat16": "half"}.get(precision, precision))


DEVICES = {
    "a100": Device("NVIDIA A100 SXM 80 GB", 80e9, 19.5e12, 156e12, 312e12, 2.039e12),
    "h100": Device("NVIDIA H100 SXM 80 GB", 80e9, 67e12, 494e12, 989e12, 3.35e12),
    "h200": Device("NVIDIA H200 SXM 141 GB", 141e9, 67e12, 494e12, 989e12, 4.8e12),
    "rtx4090": Device("NVIDIA GeForce RTX 4090 24 GB", 24e9, 82.6e12, 82.6e12, 165.2e12, 1.008e12),
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
    working: int  # per image: gradients of activations under way, copies with padding
    largest_batch: int
    seconds: float  # per step of `batch` images, or of the largest batch that fits
    batch: int


def training(model_cost, batch, on, precision="float32", recomputed=False):
    """`Training` of a model with steps of `batch` images; `on` is a `Device`."""
    weights = model_cost.parameters * NUMBER
    activations, working = per_image(model_cost, recomputed)
    free = on.memory * USABLE - WORKSPACE - 4 * weights
    largest = max(0, int(min(free / (activations + working), (free - weights) / working)))
    used = min(batch, largest) if largest else 0
    seconds = step_seconds(model_cost, used, on, precision, recomputed) if used else math.nan
    return Training(
        weights, weights, 2 * weights, weights, activations, working, largest, seconds, used
    )


def per_image(model_cost, recomputed=False):
    """Bytes of an image: (kept until the gradients are there, working memory)."""
    if not recomputed:
        return model_cost.activations * NUMBER, model_cost.working * NUMBER
    kept = model_cost.activations - model_cost.spared
    return kept * NUMBER, model_cost.recomputing * NUMBER


def peak_bytes(model_cost, batch, recomputed=False):
    """The most memory that training holds at a time, without the driver's and libraries' own.

    Weights, Adam's two moments and the average are always there. Gradients of the weights grow
    while the activations that they come from are freed, so that the larger of the two counts.
    """
    weights = model_cost.parameters * NUMBER
    activations, working = per_image(model_cost, recomputed)
    return 4 * weights + max(batch * activations, weights) + batch * working


def step_seconds(model_cost, batch, on, precision="float32", recomputed=False):
    """Seconds of one training step: backward costs twice the products of forward.

    Activation recomputation computes forward a second time; of an autoencoder the finest level
    only, so that this is slightly too long.
    """
    passes = 4 if recomputed else 3
    operations = passes * model_cost.operations * batch
    # Forward, and in the two gradients, patches are written and read; a kept result is written and
    # read, its gradient too, and both are read once more; Adam reads five arrays and writes four.
    patches = 2 * passes * model_cost.patches * batch
    activations = 2 * passes * model_cost.activations * batch
    numbers = patches + activations + 9 * model_cost.parameters
    return operations / (EFFICIENCY * on.speed(precision)) + numbers * NUMBER / (
        EFFICIENCY * on.bandwidth
    )


def sampling_seconds(model_cost, prior, positions, batch, on):
    """Seconds per map of drawing `batch` maps of a `PriorConfig` side by side, in float32."""
    layers = prior.layers + prior.attention_layers + prior.output_stack_layers
    if batch <= FEW_ROWS:
        launching = recorded_launches(prior) * RECORDED_SECONDS
    else:
        launching = layers * LAUNCHES_PER_LAYER * LAUNCH_SECONDS
    streaming = model_cost.streamed * NUMBER / (EFFICIENCY * on.bandwidth)
    computing = 2 * model_cost.streamed * batch / (EFFICIENCY * on.float32)
    return positions * max(launching, streaming, computing) / batch


def recorded_launches(prior):
    """Kernels of one position in the recording of `vqv2.sampling.captured`."""
    gated = prior.layers + prior.output_stack_layers
    return 2 * gated + 6 * prior.attention_layers + 5  # first, logits, draw, embed, advance


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
