"""Arithmetic with broadcasting, sums and means over axes, and the straight-through estimator.

All take arrays, tensors or numbers of shapes that broadcast and keep NumPy's dtype rules: a Python
number never changes that of a floating-point array, and whole numbers times 0.5 are float64.
"""

from backends import array_module, kernels
from backends.arrays import widened
from vqv2.functional.linear import factor_and_bias_gradient
from vqv2.functional.requirements import require_shape
from vqv2.operation import Operand, Result, differentiable


@differentiable
def add(a: Operand, b: Operand) -> Result:
    """a + b; the cotangent goes to both."""
    return kernels.add(a, b), lambda dy: (dy, dy)


@differentiable(halves=True)
def add_biased(x: Operand, y: Operand, bias: Operand) -> Result:
    """x + (y + bias): (..., C), (..., C), (C,): the end of a residual layer.

    The bias is the one that the product before it has left out. Raises `ValueError` for shapes that
    do not fit.
    """
    require_shape("y", y, x.shape, beside={"x": x})
    require_shape("bias", bias, x.shape[-1:], beside={"x": x})
    return kernels.add_biased(widened(x), y, bias), lambda dy: (
        dy,
        *factor_and_bias_gradient(dy, bias),
    )


@differentiable
def subtract(a: Operand, b: Operand) -> Result:
    """a - b."""
    return a - b, lambda dy: (dy, lambda: -dy)


@differentiable
def multiply(a: Operand, b: Operand) -> Result:
    """a * b; da = dy * b, db = dy * a."""
    return a * b, lambda dy: (lambda: dy * b, lambda: dy * a)


@differentiable
def divide(a: Operand, b: Operand) -> Result:
    """a / b; da = dy / b, db = -dy * a / b^2."""
    return a / b, lambda dy: (lambda: dy / b, lambda: -dy * a / (b * b))


@differentiable
def power(a: Operand, exponent: float) -> Result:
    """a ** exponent for a constant exponent; da = dy * exponent * a ** (exponent - 1)."""
    return a**exponent, lambda dy: (lambda: dy * exponent * a ** (exponent - 1), None)


@differentiable
def exp(a: Operand) -> Result:
    """e^a; da = dy * e^a."""
    y = array_module(a).exp(a)
    return y, lambda dy: dy * y


@differentiable
def log(a: Operand) -> Result:
    """Natural logarithm; da = dy / a."""
    return array_module(a).log(a), lambda dy: dy / a


@differentiable
def sqrt(a: Operand) -> Result:
    """Square root; da = dy / (2 sqrt(a))."""
    y = array_module(a).sqrt(a)
    return y, lambda dy: dy / (2 * y)


def _stretch(dy, shape, axis, keepdims):
    """`dy`, reduced over `axis`, repeated to `shape` again (a view)."""
    xp = array_module(dy)
    if axis is not None and not keepdims:
        dy = xp.expand_dims(dy, axis)
    return xp.broadcast_to(dy, shape)


@differentiable
def sum(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Sum over `axis`: an int, a tuple, or None for all. The cotangent goes to every term.

    `keepdims` leaves the axes there, with length 1.
    """
    y, shape = x.sum(axis=axis, keepdims=keepdims), x.shape
    return y, lambda dy: _stretch(dy, shape, axis, keepdims)


@differentiable
def mean(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Mean over `axis`, as for `sum`; dx = dy / (number of terms)."""
    y, shape = x.mean(axis=axis, keepdims=keepdims), x.shape
    share = y.size / x.size if x.size else 0.0
    return y, lambda dy: _stretch(dy * share, shape, axis, keepdims)


@differentiable
def straight_through(h: Operand, quantized: Operand) -> Result:
    """`quantized` forward; backward, the whole cotangent goes to h as if h had been copied.

    (N, H, W, D), (N, H, W, D) -> (N, H, W, D). It is h + sg[quantized - h], without the rounding.
    Raises `ValueError` for other shapes.
    """
    require_shape("quantized", quantized, h.shape, beside={"h": h})
    return quantized, lambda dy: (dy, None)
