"""Cases of causal convolutions."""

from backends import kernels
from backends.reference.causal_conv import tap_count
from tests.cases.draw import table

# maps, height, width, kernel, centre tap, channels in, channels out
CAUSAL_CONVOLUTIONS = {
    "5x5": (2, 4, 6, 5, True, 3, 4),
    "5x5-without-centre": (2, 6, 4, 5, False, 5, 3),
    "3x3": (3, 3, 5, 3, True, 1, 2),
    "3x3-without-centre": (1, 3, 5, 3, False, 2, 1),
    "kernel-1": (2, 3, 4, 1, True, 3, 5),
    "map-smaller-than-kernel": (2, 1, 2, 7, True, 2, 2),
    "one-pixel": (1, 1, 1, 5, True, 1, 1),
    "one-pixel-without-centre": (1, 1, 1, 3, False, 1, 1),
    "no-maps": (0, 4, 4, 5, True, 2, 3),
    "many-channels": (2, 9, 18, 5, True, 133, 70),
    "many-channels-without-centre": (1, 5, 64, 5, False, 32, 33),
}


def _causal_conv2d(n, height, width, kernel, centre, channels, channels_out, draw):
    x = draw(n, height, width, channels)
    return x, draw(tap_count(kernel, centre), channels, channels_out), kernel


def _causal_input_gradient(n, height, width, kernel, centre, channels, channels_out, draw):
    dy = draw(n, height, width, channels_out)
    return dy, draw(tap_count(kernel, centre), channels, channels_out), kernel


def _causal_weight_gradient(n, height, width, kernel, centre, channels, channels_out, draw):
    x, dy = draw(n, height, width, channels), draw(n, height, width, channels_out)
    return x, dy, kernel, tap_count(kernel, centre)


CASES = {
    kernels.causal_conv2d: table(_causal_conv2d, CAUSAL_CONVOLUTIONS),
    kernels.causal_conv2d_input_gradient: table(_causal_input_gradient, CAUSAL_CONVOLUTIONS),
    kernels.causal_conv2d_weight_gradient: table(_causal_weight_gradient, CAUSAL_CONVOLUTIONS),
}
