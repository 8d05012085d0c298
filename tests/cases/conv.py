"""Cases of plain convolutions, strided and padded."""

from backends import kernels
from backends.reference.conv import output_size
from tests.cases.draw import table

# images, height, width, kernel, channels in, channels out, stride, padding
CONVOLUTIONS = {
    "3x3": (2, 5, 6, 3, 3, 4, 1, 1),
    "halving-4x4": (2, 6, 8, 4, 3, 5, 2, 1),
    "odd-size-halved": (2, 7, 5, 4, 1, 3, 2, 1),
    "no-padding": (1, 4, 5, 3, 2, 1, 1, 0),
    "wide-padding": (1, 2, 3, 3, 2, 2, 1, 5),
    "gaps-between-taps": (2, 7, 9, 2, 3, 2, 3, 0),
    "pointwise": (2, 3, 4, 1, 5, 3, 1, 0),
    "pointwise-stride-2": (2, 5, 4, 1, 3, 5, 2, 0),
    "one-pixel": (1, 1, 1, 3, 1, 1, 1, 1),
    "no-images": (0, 4, 4, 3, 2, 3, 1, 1),
    "many-channels": (2, 17, 16, 3, 33, 70, 1, 1),
    "many-channels-halved": (1, 34, 32, 4, 40, 32, 2, 1),
    "no-images-many-channels": (0, 16, 16, 3, 32, 32, 1, 1),
    "no-images-pointwise": (0, 4, 4, 1, 2, 3, 1, 0),
}


def _conv2d(n, height, width, kernel, channels, channels_out, stride, padding, draw):
    x = draw(n, height, width, channels)
    return x, draw(kernel, kernel, channels, channels_out), stride, padding


def _output_shape(n, height, width, kernel, channels, channels_out, stride, padding):
    rows, columns = (output_size(size, kernel, stride, padding) for size in (height, width))
    return n, rows, columns, channels_out


def _conv2d_input_gradient(*spec_and_draw):
    *spec, draw = spec_and_draw
    n, height, width, kernel, channels, channels_out, stride, padding = spec
    dy = draw(*_output_shape(*spec))
    w = draw(kernel, kernel, channels, channels_out)
    return dy, w, stride, padding, height, width


def _conv2d_weight_gradient(*spec_and_draw):
    *spec, draw = spec_and_draw
    n, height, width, kernel, channels, _, stride, padding = spec
    x = draw(n, height, width, channels)
    return x, draw(*_output_shape(*spec)), kernel, stride, padding


CASES = {
    kernels.conv2d: table(_conv2d, CONVOLUTIONS),
    kernels.conv2d_input_gradient: table(_conv2d_input_gradient, CONVOLUTIONS),
    kernels.conv2d_weight_gradient: table(_conv2d_weight_gradient, CONVOLUTIONS),
}
