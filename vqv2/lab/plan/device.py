"""Devices, by their published figures."""

import dataclasses

from vqv2.config import AUTO
from vqv2.errors import InputError
from vqv2.training.task import AMPERE, precision_of

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Device:
    """Published figures of a device: bytes, operations per second in dense products, bytes/s.

    `half` is that of float16 and bfloat16, summed up in float32; `tf32` is that of float32 where
    there is none; `link` is how several of them are usually joined (`scaling.LINKS`); `capability`
    is NVIDIA's compute capability.
    """

    name: str
    memory: float
    float32: float
    tf32: float
    half: float
    bandwidth: float
    link: str
    capability: tuple

    def precision(self, wanted):
        """What products are in where `wanted` is asked for: "auto" is what suits the device.

        Raises `InputError` for bfloat16 where there is none.
        """
        suiting = precision_of(self.capability)
        if wanted == "bfloat16" and self.capability < AMPERE:
            raise InputError(f"{self.name} has no products in bfloat16: choose {suiting}")
        return suiting if wanted == AUTO else wanted

    def speed(self, precision):
        """Operations per second of products in a precision."""
        return getattr(self, {"float16": "half", "bfloat16": "half"}.get(precision, precision))


# (name, bytes, operations per second in float32, TF32 and half, bytes per second, link, capability)
_PUBLISHED = {
    "v100": ("NVIDIA V100 SXM2 32 GB", 32e9, 15.7e12, 15.7e12, 125e12, 0.9e12, "nvlink2", (7, 0)),
    "t4": ("NVIDIA T4 16 GB", 16e9, 8.1e12, 8.1e12, 65e12, 0.32e12, "pcie3", (7, 5)),
    "a100": ("NVIDIA A100 SXM 80 GB", 80e9, 19.5e12, 156e12, 312e12, 2.039e12, "nvlink3", (8, 0)),
    "rtx4090": (
        "NVIDIA GeForce RTX 4090 24 GB", 24e9, 82.6e12, 82.6e12, 165.2e12, 1.008e12, "pcie4", (8, 9)
    ),
    "h100": ("NVIDIA H100 SXM 80 GB", 80e9, 67e12, 494e12, 989e12, 3.35e12, "nvlink4", (9, 0)),
    "h200": ("NVIDIA H200 SXM 141 GB", 141e9, 67e12, 494e12, 989e12, 4.8e12, "nvlink4", (9, 0)),
}  # fmt: skip
DEVICES = {name: Device(*figures) for name, figures in _PUBLISHED.items()}


def device(name):
    """The device `name`. Raises `InputError` listing what there is."""
    if name not in DEVICES:
        raise InputError(f"there is no device {name!r}: choose one of {', '.join(DEVICES)}")
    return DEVICES[name]
