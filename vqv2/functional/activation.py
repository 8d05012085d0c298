"""Activations, the gate of gated convolutions, and dropout.

`elu`, `gate` and `dropout` raise `TypeError` for whole numbers.
"""

from backends import kernels
from backends.reference.elementwise import seed_from
from vqv2.functional.requirements import require_floats
from vqv2.operation import differentiable


@differentiable
def relu(x):
    """max(x, 0); dx = dy where x > 0."""
    y = kernels.relu(x)
    return y, lambda dy: kernels.relu_gradient(y, dy)


@differentiable
def elu(x):
    """x where x > 0, else e^x - 1; dx = dy * (1 or y + 1)."""
    require_floats(x=x)
    y = kernels.elu(x)
    return y, lambda dy: kernels.elu_gradient(y, dy)


@differentiable
def sigmoid(x):
    """1 / (1 + e^-x); dx = dy * y * (1 - y)."""
    y = kernels.sigmoid(x)
    return y, lambda dy: dy * y * (1 - y)


@differentiable
def gate(x):
    """a * sigmoid(b) for [a, b] = x along the channels: (..., 2C) -> (..., C)."""
    require_floats(x=x)
    return kernels.gate(x), lambda dy: kernels.gate_gradient(x, dy)


@differentiable
def dropout(x, rate=0.0, rng=None, share=0):
    """Each element zero with probability `rate`, else divided by 1 - rate; the cotangent likewise.

    `rng`, a `numpy.random.Generator`, gives one seed; the mask is computed from it when it is
    needed and never stored. With `rng=None` (evaluation) or rate 0, x itself. Where processes
    share a batch, x is number `share` of its equal shares, and gets that part of its mask.
    """
    if rng is None or rate == 0:
        return x, lambda dy: dy
    require_floats(x=x)
    seed = seed_from(int(rng.integers(2**63)), share * x.size)
    return kernels.dropout(x, rate, seed), lambda dy: kernels.dropout(dy, rate, seed)
