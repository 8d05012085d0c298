"""The mean squared error of two arrays, and its gradient."""


def mean_squared_error(a, b):
    """Mean over all elements of (a - b)^2: a number, for arrays of one shape that is not empty."""
    difference = a - b
    return (difference * difference).mean()


def mean_squared_error_gradient(a, b, d_error):
    """Gradient with respect to a, (a - b) * 2 d_error / size; d_error is a number on its own."""
    return (a - b) * (d_error * (2 / a.size))
