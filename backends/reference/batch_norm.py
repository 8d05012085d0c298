"""Sums over positions, and what is the same for every position: (M, C) with one number per channel.

Biases, their gradients, and batch normalisation.
"""

from backends.arrays import array_module


def add_bias(x, bias):
    """x += bias, in place: (..., C), (C,)."""
    x += bias


def sum_rows(x):
    """Sum over the rows: (M, C) -> (C,)."""
    return x.sum(axis=0)


def moments(x):
    """Mean and variance of every channel over the rows: (M, C) -> (C,), (C,). For M > 0."""
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, array_module(x).mean(centred * centred, axis=0)


def normalize(x, mean, factor, offset):
    """(x - mean) * factor + offset: (M, C), three times (C,) -> (M, C)."""
    return (x - mean) * factor + offset


def correlate(x, mean, dy):
    """Sums over the rows of dy and of dy * (x - mean): (M, C), (C,), (M, C) -> (C,), (C,)."""
    return dy.sum(axis=0), (dy * (x - mean)).sum(axis=0)


def combine(x, mean, dy, factor, slope, offset):
    """dy * factor + (x - mean) * slope + offset, each row: (M, C) and (C,) -> (M, C)."""
    return dy * factor + (x - mean) * slope + offset
