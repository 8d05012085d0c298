"""Devices, by their published figures."""

import dataclasses

from vqv2.errors import InputError

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Device:
    """Published figures of a device: bytes, operations per second in dense products, bytes/s.

    `half` is that of float16 and bfloat16, summed up in float32; `link` is how several of them are
    usually joined (`scaling.LINKS`).
    """

    name: str
    memory: float
    float32: float
    tf32: float
    half: float
    bandwidth: float
    link: str

    def speed(self, precision):
        """Operations per second of products in a precision."""
        return getattr(self, {"float16": "half", "bfloat16": "half"}.get(precision, precision))


DEVICES = {
    "a100": Device("NVIDIA A100 SXM 80 GB", 80e9, 19.5e12, 156e12, 312e12, 2.039e12, "nvlink3"),
    "h100": Device("NVIDIA H100 SXM 80 GB", 80e9, 67e12, 494e12, 989e12, 3.35e12, "nvlink4"),
    "h200": Device("NVIDIA H200 SXM 141 GB", 141e9, 67e12, 494e12, 989e12, 4.8e12, "nvlink4"),
    "rtx4090": Device(
        "NVIDIA GeForce RTX 4090 24 GB", 24e9, 82.6e12, 82.6e12, 165.2e12, 1.008e12, "pcie4"
    ),
}


def device(name):
    """The device `name`. Raises `InputError` listing what there is."""
    if name not in DEVICES:
        raise InputError(f"there is no device {name!r}: choose one of {', '.join(DEVICES)}")
    return DEVICES[name]
