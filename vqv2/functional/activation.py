"""Activations, the gate of gated convolutions, and dropout.

`elu`, `gate`, `gate_block` and `dropout` raise `TypeError` for whole numbers.
"""

from typing import Any

from numpy.random import Generator

from backends import kernels
from backends.arrays import widened
from backends.reference.hashing import seed_from
from vqv2.functional.requirements import require_floats, require_shape
from vqv2.operation import Operand, Result, differentiable


@differentiable(halves=True)
def relu(x: Operand, bias: Operand | None = None, skip: bool = False) -> Any:
    """max(x, 0), or with a bias max(x + bias, 0): (..., C), (C,); dx = dy where the result is > 0.

    The bias is the one that a product before it has left out (`biased=False` of the layers in
    `vqv2.nn`). With `skip`, which takes no bias, the outputs are (relu(x), x): what goes around a
    residual layer. Both cotangents are then added in the pass that computes one of them.
    """
    return _activated(kernels.relu, kernels.biased_relu, x, bias, skip)


@differentiable(halves=True)
def elu(x: Operand, bias: Operand | None = None, skip: bool = False) -> Any:
    """x where x > 0, else e^x - 1, of x or x + bias, as in `relu`; dx = dy * (1 or y + 1)."""
    require_floats(x=x)
    return _activated(kernels.elu, kernels.biased_elu, x, bias, skip)


_GRADIENTS = {
    kernels.relu: kernels.relu_gradient,
    kernels.elu: kernels.elu_gradient,
    kernels.biased_relu: kernels.biased_relu_gradient,
    kernels.biased_elu: kernels.biased_elu_gradient,
}


def _activated(plain, biased, x, bias, skip):
    if bias is not None:
        require_shape("bias", bias, x.shape[-1:], beside={"x": x})
        y = biased(x, bias)
        return y, lambda dy: _GRADIENTS[biased](y, dy)
    y = plain(x)
    if not skip:
        return y, lambda dy: _GRADIENTS[plain](y, dy)

    def gradient(dy, around):
        if dy is None:
            return around
        return _GRADIENTS[plain](y, dy, None if around is None else widened(around))

    return (y, x), gradient


@differentiable
def sigmoid(x: Operand) -> Result:
    """1 / (1 + e^-x); dx = dy * y * (1 - y)."""
    y = kernels.sigmoid(x)
    return y, lambda dy: dy * y * (1 - y)


@differentiable
def gate(x: Operand) -> Result:
    """a * sigmoid(b) for [a, b] = x along the channels: (..., 2C) -> (..., C)."""
    require_floats(x=x)
    return kernels.gate(x), lambda dy: kernels.gate_gradient(x, dy)


@differentiable(halves=True)
def gate_block(
    x: Operand,
    features: Operand,
    bias: Operand,
    condition: Operand | None,
    label: Operand | None,
    rate: float = 0.0,
    rng: Generator | None = None,
    share: int = 0,
) -> Result:
    """x + dropout(gate(features + bias + condition + label)): the end of a gated residual layer.

    x (N, H, W, C), features (N, H, W, 2C), bias (2C,); condition (N, H, W, 2C) and label (N, 2C)
    may be None. `rate`, `rng` and `share` as in `dropout`. The gradient needs the gate's input
    alone. Raises `ValueError` for shapes that do not fit.
    """
    require_floats(x=x, features=features)
    wide = (*x.shape[:-1], 2 * x.shape[-1])
    require_shape("features", features, wide, beside={"x": x})
    require_shape("bias", bias, wide[-1:], beside={"x": x})
    if condition is not None:
        require_shape("condition", condition, wide, beside={"x": x})
    if label is not None:
        require_shape("label", label, (len(x), wide[-1]), beside={"x": x})
    rate = 0.0 if rng is None else rate
    seed = int(rng.integers(2**63)) if rate else 0
    settings = (rate, seed_from(seed, share * x.size))
    labelled, conditioned = label is not None, condition is not None
    y, inside = kernels.gate_block(widened(x), features, bias, condition, label, *settings)

    def gradient(dy):
        d_inside, d_bias, d_label = kernels.gate_block_gradient(inside, dy, *settings)
        d_condition = d_inside if conditioned else None
        return dy, d_inside, d_bias, d_condition, d_label if labelled else None

    return y, gradient


@differentiable
def dropout(x: Operand, rate: float = 0.0, rng: Generator | None = None, share: int = 0) -> Result:
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
