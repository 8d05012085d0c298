"""How long counted work takes on a device, by the roofline of each family of kernels.

A launch takes as long as its bytes take at a share of the device's published bandwidth, or its
operations at a share of its published speed, whichever is longer, and `START` more. The shares are
a table, `ASSUMED`; what `tests/device/run.sh speed` has measured takes their place
(`vqv2.lab.plan.measured`).
"""

import dataclasses

from backends.shapes import TRANSFERS

START = 2e-6  # assumed: seconds from one kernel to the next
HOST = 20e-6  # assumed: seconds in which the host starts a kernel, while others run


@dataclasses.dataclass(frozen=True)
class Share:
    """What a family of kernels reaches of a device's published figures.

    bandwidth   share of its bytes a second
    speed       share of its operations a second: of products in their precision, else of float32
    source      who says so
    """

    bandwidth: float
    speed: float = 1.0
    source: str = "guess"


_READ = "guess, from reading the kernel's machine code"
_STATED = "guess, from what is reported of cuBLAS"
ASSUMED = {
    "products, float32": Share(0.85, 0.74, _STATED),
    "products, tf32": Share(0.85, 0.75, _STATED),
    "products, half": Share(0.85, 0.65, _STATED),
    "attention": Share(0.85, 0.1, _READ),
    "nearest codes": Share(0.85, 0.3, _READ),
    "unfold": Share(0.7, source=_READ),
    "fold": Share(0.5, source=_READ),
    "halves": Share(0.75),
    "batch norm": Share(0.7),
    "sums over rows": Share(0.7),
    "elementwise": Share(0.7),
    "elementwise, CuPy": Share(0.85),
    "elementwise, CuPy, broadcast": Share(0.65),
    "reductions": Share(0.5),
    "Adam": Share(0.85),
    "unscale": Share(0.85),
    "cross-entropy": Share(0.7),
    "codebook statistics": Share(0.3),
    "copies": Share(0.6),
    "fills": Share(0.9),
    "gathers": Share(0.5),
    "sampling": Share(0.25, 0.22, _READ),
    "sampling, bfloat16": Share(0.125, 0.22, _READ),
}


def share_of(family, precision, shares):
    """The `Share` of a family of kernels in a precision of products."""
    if family == "products":
        family += f", {'half' if precision in ('float16', 'bfloat16') else precision}"
    return shares[family]


def device_seconds(launches, on, precision, shares=ASSUMED):
    """Seconds of {`Launch`: how often} on a `Device`. Copies from and to the host count nothing."""
    return sum(
        times * (START + _seconds(launch, on, precision, shares))
        for launch, times in launches.items()
        if launch.family != TRANSFERS
    )


def _seconds(launch, on, precision, shares):
    share = share_of(launch.family, precision, shares)
    speed = on.speed(precision if launch.family == "products" else "float32")
    moving = (launch.read + launch.written) / (share.bandwidth * on.bandwidth)
    return max(moving, launch.operations / (share.speed * speed))


def seconds(launches, on, precision, shares=ASSUMED):
    """The same where the host starts every kernel, which takes `HOST` each, meanwhile."""
    count = sum(times for launch, times in launches.items() if launch.family != TRANSFERS)
    return max(device_seconds(launches, on, precision, shares), count * HOST)
