"""Operations that move or pick elements without changing them."""

from typing import Any

import numpy as np

from backends import array_module, kernels
from backends.reference.quantize import require_codes
from vqv2.functional.requirements import require_integers, require_maps
from vqv2.operation import Operand, Result, Results, differentiable


@differentiable
def reshape(x: Operand, shape: tuple[int, ...] = ()) -> Result:
    """The same elements in raster order, as `shape`; one entry may be -1."""
    former = x.shape
    return x.reshape(shape), lambda dy: dy.reshape(former)


@differentiable
def transpose(x: Operand, axes: tuple[int, ...] | None = None) -> Result:
    """Axes in the order `axes`; None reverses them."""
    y = x.transpose(axes)
    back = None if axes is None else tuple(sorted(range(len(axes)), key=axes.__getitem__))
    return y, lambda dy: dy.transpose(back)


@differentiable
def concatenate(*arrays: Operand, axis: int = -1) -> Result:
    """Arrays joined along `axis`; each gets its part of the cotangent.

    Raises `TypeError` for a list of them: they are given one after another.
    """
    if any(isinstance(array, list | tuple) for array in arrays):
        raise TypeError("give the arrays one after another, as in concatenate(a, b, axis=-1)")
    xp = array_module(arrays[0])
    ends = []
    for array in arrays:
        ends.append((ends[-1] if ends else 0) + array.shape[axis])
    return xp.concatenate(arrays, axis=axis), lambda dy: tuple(xp.split(dy, ends[:-1], axis=axis))


@differentiable
def split(x: Operand, sections: int = 2) -> Results:
    """The last axis cut into equal parts: a tuple of `sections` tensors (..., C / sections).

    Raises `ValueError` for channels that cannot be cut so.
    """
    if x.shape[-1] % sections:
        raise ValueError(f"x of shape {x.shape} cannot be cut into {sections} equal parts")
    xp, dtype = array_module(x), x.dtype
    shape = (*x.shape[:-1], x.shape[-1] // sections)

    def gradient(*d_parts):
        filled = [xp.zeros(shape, dtype) if d is None else d for d in d_parts]
        return xp.concatenate(filled, axis=-1)

    return tuple(xp.split(x, sections, axis=-1)), gradient


@differentiable
def upsample(x: Operand, factor: int = 2) -> Result:
    """Every position repeated factor x factor times: (N, H, W, C) -> (N, H factor, W factor, C).

    Raises `ValueError` for another number of axes.
    """
    require_maps(x=x)
    n, height, width, channels = x.shape
    tiles = x[:, :, None, :, None, :]
    shape = (n, height, factor, width, factor, channels)
    y = array_module(x).broadcast_to(tiles, shape)
    y = y.reshape(n, height * factor, width * factor, channels)
    return y, lambda dy: dy.reshape(shape).sum(axis=(2, 4))


@differentiable
def embedding(codes: Operand, table: Operand) -> Result:
    """table[codes]: integers of any shape S, (K, D) -> (*S, D).

    The table's gradient sums, for every code, the cotangents of the places that read it. Raises
    `TypeError` for what are no whole numbers and, on the host, `IndexError` for those outside
    0 ... K - 1; on a device, looking would have it wait.
    """
    require_integers(codes=codes)
    if array_module(codes) is np:
        require_codes(codes, len(table))

    def gradient(dy):
        rows = dy.reshape(-1, table.shape[-1])
        return None, kernels.codebook_statistics(rows, codes.reshape(-1), len(table))[1]

    return table[codes], gradient


@differentiable
def index(x: Operand, key: Any) -> Result:
    """x[key], as NumPy has it: slices, integers, arrays of these or of truth values.

    An element that is named several times gets all of their cotangents, one that is not zero.
    """
    xp, shape, dtype = array_module(x), x.shape, x.dtype

    def gradient(dy):
        dx = xp.zeros(shape, dtype)
        if _has_arrays(key):
            xp.add.at(dx, key, dy)
        else:
            dx[key] = dy
        return dx, None

    return x[key], gradient


def _has_arrays(key):
    """Whether a key may name an element several times: ranges and single places do not."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, list) or getattr(part, "ndim", 0) for part in parts)
