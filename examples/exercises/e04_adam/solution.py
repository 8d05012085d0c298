"""One answer to e04."""

import math

import numpy as np


def adam_step(parameter, gradient, mean, square, step, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """As printed."""
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    m, s = mean / (1 - beta1**step), square / (1 - beta2**step)
    return parameter - rate * m / (np.sqrt(s) + epsilon), mean, square


def learning_rate(step, hidden_units, scale=0.18, warmup=16000):
    """As printed."""
    return scale * hidden_units**-0.5 * min(step**-0.35, step * warmup**-1.5)


def peak_step(warmup=16000):
    """t^-0.35 = t w^-1.5 at t = w^(1.5 / 1.35)."""
    near = math.floor(warmup ** (1.5 / 1.35))
    return max((max(1, near), near + 1), key=lambda t: learning_rate(t, 1, 1.0, warmup))
