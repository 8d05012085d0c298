"""Adam and the average of the weights in one pass over memory."""

import math

from backends import kernels
from backends.numba.engine.compiled import compiled, prange
from backends.reference.adam import constants


@kernels.adam_update.version("numba")
def adam_update(
    parameter, gradient, mean, square, average, step, learning_rate, beta1, beta2, epsilon, decay
):
    numbers = constants(parameter.dtype, step, learning_rate, beta1, beta2, epsilon, decay)
    updated = (parameter, mean, square, average)
    flat = [array.reshape(-1) for array in updated]
    _adam_loop(*flat, gradient.reshape(-1), *numbers)
    for array, values in zip(updated, flat, strict=True):
        if not array.flags.c_contiguous:  # then `values` is a copy
            array[...] = values.reshape(array.shape)


@compiled
def _adam_loop(
    parameter, mean, square, average, gradient, rate, root, epsilon, b1, c1, b2, c2, rest
):
    for i in prange(parameter.size):
        g = gradient[i]
        mean[i] = b1 * mean[i] + c1 * g
        square[i] = b2 * square[i] + c2 * g * g
        parameter[i] -= rate * mean[i] / (math.sqrt(square[i]) * root + epsilon)
        average[i] += rest * (parameter[i] - average[i])
