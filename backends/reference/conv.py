"""Two-dimensional convolution: images (N, H, W, C), weights (kernel, kernel, C in, C out).

Three kernels are closed under differentiation. With y = conv2d(x, w), the gradients are
dx = conv2d_input_gradient(dy, w) and dw = conv2d_weight_gradient(x, dy). A transposed convolution
*is* conv2d_input_gradient, so its own gradients are conv2d and conv2d_weight_gradient again.

`padding` zeros surround the image on every side; the output has
(H + 2 * padding - kernel) // stride + 1 rows.

Here they are sums over the kernel's taps.
"""

from backends.arrays import array_module


def output_size(size, kernel_size, stride, padding):
    """Rows (or columns) of a convolution's output for `size` rows of input."""
    return (size + 2 * padding - kernel_size) // stride + 1


def _taps(x_padded, kernel_size, stride, rows, columns):
    """((a, b), view) for each tap: the elements of the padded image that it meets."""
    for a in range(kernel_size):
        for b in range(kernel_size):
            row_slice = slice(a, a + stride * (rows - 1) + 1, stride)
            column_slice = slice(b, b + stride * (columns - 1) + 1, stride)
            yield (a, b), x_padded[:, row_slice, column_slice]


def _pad(x, padding):
    return array_module(x).pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))


def conv2d(x, w, stride, padding, rounded=False):
    """y[n, i, j] = sum over taps (a, b) of x[n, i * stride + a - padding, same for j, b] w[a, b].

    (N, H, W, C), (kernel, kernel, C, D) -> (N, H', W', D).
    """
    n, height, width, _ = x.shape
    rows = output_size(height, w.shape[0], stride, padding)
    columns = output_size(width, w.shape[0], stride, padding)
    y = array_module(x).zeros((n, rows, columns, w.shape[-1]), x.dtype)
    for tap, view in _taps(_pad(x, padding), w.shape[0], stride, rows, columns):
        y += view @ w[tap]
    return y


def conv2d_input_gradient(dy, w, stride, padding, height, width, rounded=False):
    """The transpose of `conv2d` as a linear map of x, to an image of (height, width).

    (N, H', W', D), (kernel, kernel, C, D) -> (N, height, width, C).
    """
    n, rows, columns, _ = dy.shape
    padded = (n, height + 2 * padding, width + 2 * padding, w.shape[2])
    dx = array_module(dy).zeros(padded, dy.dtype)
    for tap, view in _taps(dx, w.shape[0], stride, rows, columns):
        view += dy @ w[tap].T
    return dx[:, padding : padding + height, padding : padding + width]


def conv2d_weight_gradient(x, dy, kernel_size, stride, padding):
    """Gradient of `conv2d` with respect to w.

    (N, H, W, C), (N, H', W', D) -> (kernel, kernel, C, D).
    """
    _, rows, columns, channels_out = dy.shape
    shape = (kernel_size, kernel_size, x.shape[-1], channels_out)
    dw = array_module(x).zeros(shape, x.dtype)
    for tap, view in _taps(_pad(x, padding), kernel_size, stride, rows, columns):
        dw[tap] = view.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, channels_out)
    return dw


def is_pointwise(kernel_size, stride, padding):
    """Whether a convolution is a matrix product at every position."""
    return kernel_size == 1 and stride == 1 and padding == 0
