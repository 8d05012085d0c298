"""Operations that are linear in the input and in the weights: matrix products, convolutions.

Maps are (N, H, W, C); the kernels' files say how they number a convolution's weights. `rounded` is
as in `backends.reference.matmul`, for an operation without bias. All raise `ValueError` for shapes
that do not fit, and those with a kernel `TypeError` for whole numbers.
"""

from backends import kernels
from backends.arrays import is_rounded, rows_of
from backends.reference.causal_conv import tap_count
from vqv2.functional.requirements import require_floats, require_maps, require_shape
from vqv2.operation import Operand, Result, differentiable


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


def _gradient(b, of_input, of_weight):
    """The gradient function of a product, from two functions of the output's cotangent."""

    def gradient(dy):
        d, d_bias = factor_and_bias_gradient(dy, b)
        return (lambda: of_input(d), lambda: of_weight(d), d_bias)[: 2 if b is None else 3]

    return gradient


@differentiable
def matmul(a: Operand, b: Operand) -> Result:
    """a @ b for stacks of matrices (..., M, K) @ (..., K, N); da = dy b^T, db = a^T dy."""
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
    dx = dy w^T, dw = x^T dy, db = sum of dy over the rows.
    """
    require_floats(x=x, w=w)
    require_shape("w", w, (x.shape[-1], None), beside={"x": x})
    shape, keeps = x.shape, is_rounded(x)
    rows, w = kernels.factor(x.reshape(-1, x.shape[-1])), kernels.factor(w)
    y = with_bias(kernels.matmul(rows, w, rounded=rounded), b)
    return y.reshape(*shape[:-1], w.shape[-1]), _gradient(
        b,
        lambda d: kernels.matmul(rows_of(d), w.T, rounded=keeps).reshape(shape),
        lambda d: kernels.matmul(rows.T, rows_of(d)),
    )


def _square(w):
    """The shape of a kernel that has as many columns as rows."""
    return w.shape[:1] * 2


def _require_room(size, kernel_size, stride, padding):
    """Raise `ValueError` unless a kernel fits into a padded image of `size` at least once."""
    if min(size) + 2 * padding < kernel_size or stride < 1:
        raise ValueError(
            f"a kernel of {kernel_size}x{kernel_size} with stride {stride} and padding {padding} "
            f"has no place on a map of {size[0]}x{size[1]}"
        )


def _require_taps(taps, kernel_size):
    """Raise `ValueError` unless `taps` are those before the centre, or these and the centre."""
    closed, opened = (tap_count(kernel_size, centre) for centre in (False, True))
    if taps not in (closed, opened):
        raise ValueError(
            f"w has {taps} taps, but a causal kernel of {kernel_size}x{kernel_size} has {closed}, "
            f"or {opened} with its centre"
        )


@differentiable(halves=True)
def conv2d(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    stride: int = 1,
    padding: int = 0,
    rounded: bool = False,
) -> Result:
    """Convolution (N, H, W, C), (k, k, C, D), (D,) -> (N, H', W', D), H' = (H + 2p - k) / s + 1."""
    require_floats(x=x, w=w)
    require_maps(x=x)
    require_shape("w", w, (*_square(w), x.shape[-1], None), beside={"x": x})
    _require_room(x.shape[1:3], len(w), stride, padding)
    keeps, x, w = is_rounded(x), kernels.factor(x), kernels.factor(w)
    y, size = kernels.conv2d(x, w, stride, padding, rounded=rounded), x.shape[1:3]
    return with_bias(y, b), _gradient(
        b,
        lambda d: kernels.conv2d_input_gradient(d, w, stride, padding, *size, rounded=keeps),
        lambda d: kernels.conv2d_weight_gradient(x, d, len(w), stride, padding),
    )


@differentiable(halves=True)
def conv_transpose2d(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    stride: int = 1,
    padding: int = 0,
    rounded: bool = False,
) -> Result:
    """Transposed convolution, the transpose of `conv2d` as a linear map.

    (N, H, W, D), (k, k, C, D), (C,) -> (N, H', W', C), H' = (H - 1) s - 2p + k. The weights are
    those of the convolution that leads back, so its gradients are that convolution's kernels.
    """
    require_floats(x=x, w=w)
    require_maps(x=x)
    require_shape("w", w, (*_square(w), None, x.shape[-1]), beside={"x": x})
    size = [(n - 1) * stride - 2 * padding + w.shape[0] for n in x.shape[1:3]]
    keeps, x, w = is_rounded(x), kernels.factor(x), kernels.factor(w)
    y = kernels.conv2d_input_gradient(x, w, stride, padding, *size, rounded=rounded)
    return with_bias(y, b), _gradient(
        b,
        lambda d: kernels.conv2d(d, w, stride, padding, rounded=keeps),
        lambda d: kernels.conv2d_weight_gradient(d, x, len(w), stride, padding),
    )


@differentiable(halves=True)
def causal_conv2d(
    x: Operand, w: Operand, b: Operand | None = None, kernel_size: int = 5, rounded: bool = False
) -> Result:
    """Causal convolution of the same size: (N, H, W, C), (taps, C, D), (D,) -> (N, H, W, D).

    Position (i, j) sees rows above and columns to its left only, and itself when w has the centre
    tap: `backends.reference.causal_conv.tap_count`.
    """
    require_floats(x=x, w=w)
    require_maps(x=x)
    require_shape("w", w, (None, x.shape[-1], None), beside={"x": x})
    _require_taps(len(w), kernel_size)
    keeps, x, w = is_rounded(x), kernels.factor(x), kernels.factor(w)
    y = kernels.causal_conv2d(x, w, kernel_size, rounded=rounded)
    return with_bias(y, b), _gradient(
        b,
        lambda d: kernels.causal_conv2d_input_gradient(d, w, kernel_size, rounded=keeps),
        lambda d: kernels.causal_conv2d_weight_gradient(x, d, kernel_size, len(w)),
    )
