"""Adam (Kingma and Ba, 2015) and Polyak's moving average of the weights.

`unscale` stands before it where the loss was scaled up (`vqv2.training.loss_scale`).
"""

import math

from backends.arrays import array_module


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


def unscale(gradient, factor, overflow):
    """gradient = factor gradient, in place; overflow (1,) becomes 1 where that is not finite.

    `overflow` has the gradient's dtype; what it holds stays when all is finite.
    """
    xp = array_module(gradient)
    gradient *= gradient.dtype.type(factor)
    overflow[...] = xp.where(xp.isfinite(gradient).all(), overflow, 1)


def constants(dtype, step, learning_rate, beta1, beta2, epsilon, decay):
    """What `adam_update` multiplies and adds, the same for all numbers, rounded to `dtype`.

    The learning rate and the root that make up for the start, epsilon, and the weights of the
    averages: beta1, 1 - beta1, beta2, 1 - beta2, 1 - decay.
    """
    rate = learning_rate / (1 - beta1**step)
    root = 1 / math.sqrt(1 - beta2**step)
    weights = (beta1, 1 - beta1, beta2, 1 - beta2, 1 - decay)  # differences before rounding
    return [dtype.type(c) for c in (rate, root, epsilon, *weights)]
