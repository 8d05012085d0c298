"""NumPy's broadcasting, undone for cotangents."""


def is_stretched(stretched, shape):
    """Whether NumPy stretches an array of `shape` to the shape `stretched`, or leaves it."""
    if stretched == shape:
        return True
    extra = len(stretched) - len(shape)
    return extra >= 0 and all(n in (1, m) for n, m in zip(shape, stretched[extra:], strict=True))


def undo_broadcasting(cotangent, shape):
    """Sum a cotangent over the axes along which its tensor, of `shape`, was stretched.

    If y = broadcast(x), then dL/dx adds up dL/dy over all copies that y holds of a number of x.
    """
    if cotangent.shape == shape:
        return cotangent
    extra = cotangent.ndim - len(shape)
    stretched = [
        extra + i for i, n in enumerate(shape) if n == 1 and cotangent.shape[extra + i] != 1
    ]
    return cotangent.sum(axis=(*range(extra), *stretched)).reshape(shape)
