"""The same without a memory pool, in which an access beyond an array would meet another one.

For compute-sanitizer's memcheck.
"""

from backends import array_module
from tests.device.sections import everything


def measure(report, scale):
    """Every array is an allocation of the driver's."""
    array_module().cuda.set_allocator(None)
    everything.measure(report, scale)
