"""Matrix products."""

from backends import kernels
from backends.arrays import is_rounded
from vqv2.functional.bias import factor_and_bias_gradient, with_bias
from vqv2.functional.requirements import require_floats, require_shape
from vqv2.operation import Operand, Result, differentiable


@differentiable
def matmul(a: Operand, b: Operand) -> Result:
    """a @ b for stacks of matrices (..., M, K) @ (..., K, N); da = dy b^T, db = a^T dy.

    Raises `ValueError` for anything with fewer axes.
    """
    for name, array in {"a": a, "b": b}.items():
        if array.ndim < 2:
            raise ValueError(
                f"{name} has shape {array.shape}, but matrices are multiplied here: a row is "
                f"{name}[None], a column {name}[:, None]"
            )
    return a @ b, lambda dy: (lambda: dy @ b.swapaxes(-1, -2), lambda: a.swapaxes(-1, -2) @ dy)


@differentiable(halves=True)
def linear(x: Operand, w: Operand, b: Operand | None = None, rounded: bool = False) -> Result:
    """x w + b along the last axis: (..., C), (C, D), (D,) -> (..., D).

    On a map (N, H, W, C) this is the 1x1 convolution. With the leading axes flattened to rows:
    dx = dy w^T, dw = x^T dy, db = sum of dy over the rows. `rounded` as in
    `backends.reference.matmul`, without bias only. Raises `ValueError` for shapes that do not fit,
    `TypeError` for whole numbers.
    """
    require_floats(x=x, w=w)
    require_shape("w", w, (x.shape[-1], None), beside={"x": x})
    shape, keeps = x.shape, is_rounded(x)
    rows, w = kernels.factor(x.reshape(-1, x.shape[-1])), kernels.factor(w)
    y = with_bias(kernels.matmul(rows, w, rounded=rounded), b)

    def gradient(dy):
        d_rows, d_bias = factor_and_bias_gradient(dy.reshape(-1, dy.shape[-1]), b)
        return (
            lambda: kernels.matmul(d_rows, w.T, rounded=keeps).reshape(shape),
            lambda: kernels.matmul(rows.T, d_rows),
            d_bias,
        )[: 2 if b is None else 3]

    return y.reshape(*shape[:-1], w.shape[-1]), gradient
