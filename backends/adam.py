"""Adam (Kingma and Ba, 2015) and Polyak's moving average of the weights in one pass over memory.

`unscale` stands before it where the loss was scaled up (`vqv2.training.loss_scale`).
"""

import math

from backends import cuda
from backends.compiled import compiled, prange
from backends.selection import kernel
from backends.transfer import array_module


@kernel
def adam_update(
    parameter, gradient, mean, square, average, step, learning_rate, beta1, beta2, epsilon, decay
):
    """One step, in place, on arrays of one shape; `step` counts from 1.

    mean    = beta1 mean + (1 - beta1) gradient             first  = mean / (1 - beta1^step)
    square  = beta2 square + (1 - beta2) gradient^2         second = square / (1 - beta2^step)
    parameter = parameter - learning_rate first / (sqrt(second) + epsilon)
    average = decay average + (1 - decay) parameter
    """
    mean[...] = beta1 * mean + (1 - beta1) * gradient
    square[...] = beta2 * square + (1 - beta2) * gradient**2
    first = mean / (1 - beta1**step)
    second = square / (1 - beta2**step)
    parameter[...] = parameter - learning_rate * first / (second**0.5 + epsilon)
    average[...] = average + (1 - decay) * (parameter - average)  # exact where nothing moves


@kernel(also=("numba",))
def unscale(gradient, factor, overflow):
    """gradient = factor gradient, in place; overflow (1,) becomes 1 where that is not finite.

    `overflow` has the gradient's dtype; what it holds stays when all is finite.
    """
    xp = array_module(gradient)
    gradient *= gradient.dtype.type(factor)
    overflow[...] = xp.where(xp.isfinite(gradient).all(), overflow, 1)


@adam_update.version("numba")
def _adam_update_numba(
    parameter, gradient, mean, square, average, step, learning_rate, beta1, beta2, epsilon, decay
):
    constants = _constants(parameter.dtype, step, learning_rate, beta1, beta2, epsilon, decay)
    updated = (parameter, mean, square, average)
    flat = [array.reshape(-1) for array in updated]
    _adam_loop(*flat, gradient.reshape(-1), *constants)
    for array, values in zip(updated, flat, strict=True):
        if not array.flags.c_contiguous:  # then `values` is a copy
            array[...] = values.reshape(array.shape)


def _constants(dtype, step, learning_rate, beta1, beta2, epsilon, decay):
    """What the loops multiply and add, the same for all numbers: in the order they take it."""
    rate = learning_rate / (1 - beta1**step)
    root = 1 / math.sqrt(1 - beta2**step)
    weights = (beta1, 1 - beta1, beta2, 1 - beta2, 1 - decay)  # differences before rounding
    return [dtype.type(c) for c in (rate, root, epsilon, *weights)]


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


_cuda = cuda.Source("adam.cu")


@adam_update.version("cupy")
def _adam_update_cupy(
    parameter, gradient, mean, square, average, step, learning_rate, beta1, beta2, epsilon, decay
):
    constants = _constants(parameter.dtype, step, learning_rate, beta1, beta2, epsilon, decay)
    arrays = (parameter, gradient, mean, square, average)
    flat = [cuda.contiguous(array) for array in arrays]
    _cuda.each("adam", parameter.size, *flat, *constants)
    for array, values in zip(arrays, flat, strict=True):
        if array is not gradient and not array.flags.c_contiguous:  # then `values` is a copy
            array[...] = values


@unscale.version("cupy")
def _unscale_cupy(gradient, factor, overflow):
    flat = cuda.contiguous(gradient)
    _cuda.each("unscale", gradient.size, flat, overflow, float(factor))
    if not gradient.flags.c_contiguous:  # then `flat` is a copy
        gradient[...] = flat
