"""The bias of a product, and the cotangent that the gradients of a product share."""

from backends import kernels
from backends.arrays import rows_of
from vqv2.functional.requirements import require_shape


def with_bias(y, b):
    """y, a product's own array, with b (C,) added where there is one."""
    if b is not None:
        require_shape("b", b, y.shape[-1:], beside={"y": y})
        kernels.add_bias(y, b)
    return y


def factor_and_bias_gradient(dy, b):
    """(dy as two products read it, the gradient of b or None), dy (..., C)."""
    if b is None:
        return kernels.factor(dy), None
    d_rows, d_bias = kernels.factor_and_sum(rows_of(dy))
    return d_rows.reshape(dy.shape), d_bias
