"""Adam, and the paper's learning rate.

After lesson 4. Adam keeps, for each parameter, a moving average of the gradient g and one of its
square, both starting at zero, and moves against the first divided by the root of the second:

    mean   <- beta1 mean + (1 - beta1) g          m = mean / (1 - beta1^t)
    square <- beta2 square + (1 - beta2) g^2      s = square / (1 - beta2^t)
    parameter <- parameter - rate m / (sqrt(s) + epsilon)

for step t = 1, 2, ... The priors' learning rate (section A.2), for h hidden units and w = 16000
warm-up steps, is

    rate(t) = scale h^-0.5 min(t^-0.35, t w^-1.5).
"""

import numpy as np  # noqa: F401  (you will need it)


def adam_step(parameter, gradient, mean, square, step, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Task 1: the new (parameter, mean, square). The arrays given are not changed."""
    raise NotImplementedError("task 1: adam_step")


def learning_rate(step, hidden_units, scale=0.18, warmup=16000):
    """Task 2: the rate of step 1, 2, ..., a number."""
    raise NotImplementedError("task 2: learning_rate")


def peak_step(warmup=16000):
    """Task 3: the whole number t at which the rate of task 2 is largest."""
    raise NotImplementedError("task 3: peak_step")
