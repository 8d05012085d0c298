"""Adam and the average of the weights on a device: adam.cu."""

from backends import kernels
from backends.cupy.engine import cuda
from backends.reference.adam import constants

_cuda = cuda.Source(__file__)


@kernels.adam_update.version("cupy")
def adam_update(
    parameter, gradient, mean, square, average, step, learning_rate, beta1, beta2, epsilon, decay
):
    numbers = constants(parameter.dtype, step, learning_rate, beta1, beta2, epsilon, decay)
    arrays = (parameter, gradient, mean, square, average)
    flat = [cuda.contiguous(array) for array in arrays]
    _cuda.each("adam", parameter.size, *flat, *numbers)
    for array, values in zip(arrays, flat, strict=True):
        if array is not gradient and not array.flags.c_contiguous:  # then `values` is a copy
            array[...] = values


@kernels.unscale.version("cupy")
def unscale(gradient, factor, overflow):
    flat = cuda.contiguous(gradient)
    _cuda.each("unscale", gradient.size, flat, overflow, float(factor))
    if not gradient.flags.c_contiguous:  # then `flat` is a copy
        gradient[...] = flat
