"""Elementwise arithmetic with broadcasting.

All take arrays, tensors or numbers of shapes that broadcast and keep NumPy's dtype rules: a Python
number never changes that of a floating-point array, and whole numbers times 0.5 are float64.
"""

from backends import array_module, kernels
from vqv2.operation import differentiable


@differentiable
def add(a, b):
    """a + b; the cotangent goes to both."""
    return kernels.add(a, b), lambda dy: (dy, dy)


@differentiable
def subtract(a, b):
    """a - b."""
    return a - b, lambda dy: (dy, lambda: -dy)


@differentiable
def multiply(a, b):
    """a * b; da = dy * b, db = dy * a."""
    return a * b, lambda dy: (lambda: dy * b, lambda: dy * a)


@differentiable
def divide(a, b):
    """a / b; da = dy / b, db = -dy * a / b^2."""
    return a / b, lambda dy: (lambda: dy / b, lambda: -dy * a / (b * b))


@differentiable
def power(a, exponent):
    """a ** exponent for a constant exponent; da = dy * exponent * a ** (exponent - 1)."""
    return a**exponent, lambda dy: (lambda: dy * exponent * a ** (exponent - 1), None)


@differentiable
def exp(a):
    """e^a; da = dy * e^a."""
    y = array_module(a).exp(a)
    return y, lambda dy: dy * y


@differentiable
def log(a):
    """Natural logarithm; da = dy / a."""
    return array_module(a).log(a), lambda dy: dy / a


@differentiable
def sqrt(a):
    """Square root; da = dy / (2 sqrt(a))."""
    y = array_module(a).sqrt(a)
    return y, lambda dy: dy / (2 * y)
