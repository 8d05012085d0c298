"""Reading rows of a table, and parts of an array."""

from typing import Any

import numpy as np

from backends import array_module, kernels
from backends.reference.quantize import require_codes
from vqv2.functional.requirements import require_integers
from vqv2.operation import Operand, Result, differentiable


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
