"""The same after torch.compile, in bfloat16 only: compiling takes most of the time."""

from tests.device.sections import peer


def measure(report, scale):
    """As `peer.measure`."""
    peer.measure(report, scale, compiled=True, precisions=("bfloat16",))
