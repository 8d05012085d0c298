"""Predicting data-parallel training: what its processes send each other, and how long it takes.

A prediction, not a measurement: the messages of `vqv2.training.parallel` are counted while a step
runs on a device of shapes; they go one after the other and not while the devices compute, over a
link at `LINK_EFFICIENCY` of its published speed. Nothing here has been compared with devices.
"""

import dataclasses
import functools
import math

import numpy as np

from backends import array_module, shapes
from vqv2.errors import InputError
from vqv2.lab import counting
from vqv2.lab.bench.cases import POLYAK_DECAY, loss_of
from vqv2.optim import Adam
from vqv2.training import parallel

LINK_EFFICIENCY = 0.7  # assumed: share of the published speed that a large sum reaches
HOP_SECONDS = 10e-6  # assumed: until a message is under way from one device to the next
NUMBER = 8  # bytes of one number that all processes agree on


@dataclasses.dataclass(frozen=True)
class Link:
    """Published bytes per second that a device can send, and receive at the same time."""

    name: str
    bandwidth: float


LINKS = {
    "nvlink4": Link("NVLink 4 (H100, H200)", 450e9),
    "nvlink3": Link("NVLink 3 (A100)", 300e9),
    "nvlink2": Link("NVLink 2 (V100)", 150e9),
    "pcie4": Link("PCI Express 4.0 x16", 31.5e9),
    "pcie3": Link("PCI Express 3.0 x16", 15.75e9),
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


class Peers:
    """Stands in for the communicator of process 0 of several, and notes the bytes of what it sends.

    All others have the same arrays.
    """

    rank = 0

    def __init__(self, size):
        self.size = size
        self.sent = []

    def all_reduce(self, array):
        """The sum over all."""
        self.sent.append(array.nbytes)
        return array * self.size

    def all_gather(self, array):
        """The arrays of all, one after the other."""
        self.sent.append(array.nbytes)
        return array_module(array).stack([array] * self.size)


def messages(case, devices, parts=1):
    """[bytes of each sum over all devices] in a training step of a `TrainingCase`.

    What the `parts` of each device's share send, they send one after the other; the gradients go
    once, and so does whether to stop.
    """
    while_computing, gradients = _messages(dataclasses.replace(case, batch=1), devices)
    return [*while_computing, NUMBER] * parts + [*gradients, NUMBER]


@functools.lru_cache(maxsize=16)
def _messages(case, devices):
    """(bytes of sums inside the model, bytes of those of gradients): counted on shapes.

    The first step of an autoencoder starts its codebooks; it is the second that counts.
    """
    peers = Peers(devices)
    with shapes.device():
        model = counting.build(case).distribute(peers)
        optimizer, rng = Adam(model.parameters(), POLYAK_DECAY), np.random.default_rng(0)
        for _ in range(1 if case.size else 2):
            peers.sent.clear()
            loss_of(model, counting.inputs(case), rng).backward()
        inside = list(peers.sent)
        parallel.average_gradients(optimizer.parameters, peers)
    return inside, peers.sent[len(inside) :]


def sum_seconds(size, devices, over):
    """Seconds to sum `size` bytes over devices: each sends and receives 2 (n - 1) / n of them."""
    hops = 2 * math.ceil(math.log2(devices))
    sent = 2 * (devices - 1) / devices * size
    return hops * HOP_SECONDS + sent / (LINK_EFFICIENCY * over.bandwidth)


def sending_seconds(sizes, devices, over):
    """Seconds of sums of `sizes` bytes, one after the other; none with one device."""
    return sum(sum_seconds(size, devices, over) for size in sizes) if devices > 1 else 0.0


def share_of(batch, devices):
    """The images of a batch for each device. Raises `InputError` when they cannot be equal."""
    if batch % devices:
        raise InputError(f"a batch of {batch} cannot be divided among {devices} devices")
    return batch // devices
