"""How long drawing maps takes on a device, by the roofline of the kernels that draw them."""

from vqv2.lab import counting
from vqv2.lab.plan import roofline


def seconds_per_map(case, on, shares=roofline.ASSUMED, storage="float32"):
    """Seconds for each of the `case.batch` maps of a prior that are drawn side by side.

    Products are in float32. A position is one recording, so that the host starts nothing in it.
    """
    counted, size = counting.sampling(case, storage), case.size
    start, row = (
        roofline.seconds(part.launches, on, "float32", shares)
        for part in (counted.start, counted.row)
    )
    position = roofline.device_seconds(counted.position.launches, on, "float32", shares)
    return (start + size * row + size**2 * position) / case.batch
