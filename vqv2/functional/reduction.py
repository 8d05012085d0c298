"""Sums and means over axes."""

from backends import array_module
from vqv2.operation import differentiable


def _stretch(dy, shape, axis):
    """`dy`, reduced over `axis`, repeated to `shape` again (a view)."""
    xp = array_module(dy)
    if axis is not None:
        dy = xp.expand_dims(dy, axis)
    return xp.broadcast_to(dy, shape)


@differentiable
def sum(x, axis=None):
    """Sum over `axis`: an int, a tuple, or None for all. The cotangent goes to every term."""
    shape = x.shape
    return x.sum(axis=axis), lambda dy: _stretch(dy, shape, axis)


@differentiable
def mean(x, axis=None):
    """Mean over `axis`: an int, a tuple, or None for all; dx = dy / (number of terms)."""
    y, shape = x.mean(axis=axis), x.shape
    share = y.size / x.size if x.size else 0.0
    return y, lambda dy: _stretch(dy * share, shape, axis)
