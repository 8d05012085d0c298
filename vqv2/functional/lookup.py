"""Reading rows of a table, and parts of an array."""

from backends import array_module, kernels
from vqv2.autodiff import Tensor
from vqv2.operation import differentiable


@differentiable
def embedding(codes, table):
    """table[codes]: integers of any shape S, (K, D) -> (*S, D).

    The table's gradient sums, for every code, the cotangents of the places that read it.
    """

    def gradient(dy):
        rows = dy.reshape(-1, table.shape[-1])
        return None, kernels.codebook_statistics(rows, codes.reshape(-1), len(table))[1]

    return table[codes], gradient


@differentiable
def index(x, key):
    """x[key] for slices and integers that name every element at most once; the rest gets zero."""

    xp, shape, dtype = array_module(x), x.shape, x.dtype

    def gradient(dy):
        dx = xp.zeros(shape, dtype)
        dx[key] = dy
        return dx, None

    return x[key], gradient


Tensor.__getitem__ = index
