"""Sums and means over axes."""

from backends import array_module
from vqv2.operation import Operand, Result, differentiable


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
