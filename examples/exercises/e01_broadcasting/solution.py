"""One answer to e01."""


def undo_broadcasting(cotangent, shape):
    """Sum over the axes in front, then over the axes of length 1."""
    cotangent = cotangent.sum(axis=tuple(range(cotangent.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and cotangent.shape[i] != 1)
    return cotangent.sum(axis=stretched, keepdims=True)


def multiply_gradients(a, b, cotangent):
    """d(ab)/da = b, d(ab)/db = a."""
    return undo_broadcasting(cotangent * b, a.shape), undo_broadcasting(cotangent * a, b.shape)
