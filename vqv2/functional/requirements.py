"""What an operation's arguments must be, and what their shapes must have in common.

Compiled kernels go through memory as far as the shape of one argument says. Where another is
smaller they would read what lies behind it, and compute nonsense or crash. What they make has the
dtype of what they are given: of whole numbers that would be a result cut to whole numbers.
"""


def require_floats(**arrays):
    """Raise `TypeError` unless these arguments {name: array} hold floating-point numbers."""
    _require_arrays(arrays)
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise TypeError(
                f"{name} holds {array.dtype}, but this operation computes with floating-point "
                f"numbers: give {name}.astype(numpy.float32)"
            )


def require_integers(**arrays):
    """Raise `TypeError` unless these arguments {name: array} hold whole numbers."""
    _require_arrays(arrays)
    for name, array in arrays.items():
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} holds {array.dtype}, but must be whole numbers")


def require_maps(**arrays):
    """Raise `ValueError` unless these arguments {name: array} are maps (N, H, W, C)."""
    for name, array in arrays.items():
        if array.ndim != 4:
            alone = f": a map alone is {name}[None]" if array.ndim == 3 else ""
            raise ValueError(f"{name} has shape {array.shape}, expected (N, H, W, C){alone}")


def require_shape(name, array, shape, beside):
    """Raise `ValueError` unless the argument `name` has `shape`, in which None is any length.

    beside  {name: array}, the argument by which that is decided
    """
    found = _shape(array)
    lengths = zip(found, shape, strict=False)
    if len(found) != len(shape) or any(needed not in (None, n) for n, needed in lengths):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        ((other, decisive),) = beside.items()
        raise ValueError(
            f"{name} has shape {found}, but beside {other} of shape {_shape(decisive)} it must "
            f"have ({expected}{',' if len(shape) == 1 else ''})"
        )


def _require_arrays(arrays):
    for name, array in arrays.items():
        if not hasattr(array, "dtype"):
            kind = type(array).__name__
            raise TypeError(f"{name} is of type {kind}, not an array: give numpy.asarray({name})")


def _shape(array):
    """Of an array of the host or a device; a number has none."""
    return tuple(getattr(array, "shape", ()))
