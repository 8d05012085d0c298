"""Sums over positions, and what is the same for every position: (M, C) with one number per channel.

Biases, their gradients, and batch normalisation.
"""

from backends.arrays import array_module
from backends.reference import elementwise


def add_bias(x, bias):
    """x += bias, in place: (..., C), (C,)."""
    x += bias


def sum_rows(x):
    """Sum over the rows: (M, C) -> (C,)."""
    return x.sum(axis=0)


def factor_and_sum(x):
    """`matmul.factor` of x and `sum_rows` of x, from one pass over it: (M, C) -> (M, C), (C,)."""
    return x, x.sum(axis=0)


def add_biased(x, y, bias):
    """x + (y + bias): (..., C), (..., C), (C,) -> (..., C)."""
    return x + (y + bias)


def moments(x):
    """Mean and variance of every channel over the rows: (M, C) -> (C,), (C,). For M > 0."""
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, array_module(x).mean(centred * centred, axis=0)


def _inverse(x, variance, epsilon):
    """1 / deviation of every channel."""
    return 1 / array_module(x).sqrt(variance + epsilon)


def normalize(x, mean, variance, scale, offset, epsilon, relu):
    """y = scale * n + offset with n = (x - mean) / sqrt(variance + epsilon); with `relu` max(y, 0).

    (M, C), four times (C,), a number, a truth value -> (M, C).
    """
    y = (x - mean) * (scale * _inverse(x, variance, epsilon)) + offset
    return elementwise.relu(y) if relu else y


def _through_relu(x, mean, variance, scale, offset, epsilon, relu, dy):
    """The cotangent of what is before ReLU, where there is one."""
    if not relu:
        return dy
    y = normalize(x, mean, variance, scale, offset, epsilon, False)
    return elementwise.relu_gradient(y, dy)


def normalize_parameter_gradient(x, mean, variance, scale, offset, epsilon, relu, dy):
    """Gradients of `normalize` with respect to scale, sum of dy * n, and offset, sum of dy."""
    dy = _through_relu(x, mean, variance, scale, offset, epsilon, relu, dy)
    return (dy * (x - mean)).sum(axis=0) * _inverse(x, variance, epsilon), dy.sum(axis=0)


def normalize_input_gradient(
    x, mean, variance, scale, offset, epsilon, relu, dy, d_scale, d_offset, count, onto=None
):
    """Gradient with respect to x, where mean and variance are those of x among `count` rows.

    dx = scale / deviation * (dy - d_offset / count - n * d_scale / count), added to `onto` (M, C)
    """
    dy = _through_relu(x, mean, variance, scale, offset, epsilon, relu, dy)
    inverse = _inverse(x, variance, epsilon)
    factor = scale * inverse
    slope, constant = -(factor * inverse * d_scale / count), -(factor * d_offset / count)
    dx = dy * factor + (x - mean) * slope + constant
    return dx if onto is None else onto + dx


def follow_moments(mean, variance, new_mean, new_variance, decay):
    """In place, all (C,): average += (1 - decay) * (new - average), of mean and variance."""
    mean += (1 - decay) * (new_mean - mean)
    variance += (1 - decay) * (new_variance - variance)
