"""What the host has and gives to a device of shapes: shapes as well."""

import numpy as np


class Weights:
    """Stands in for a generator where a model draws its weights: as many, and none of them."""

    def standard_normal(self, shape, dtype=np.float64):
        """Nothing of this shape, on the host."""
        return Zeros(shape, dtype)


class Zeros:
    """An array of the host's that has a shape only; every function of it has the same."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(np.atleast_1d(shape)), np.dtype(dtype)

    def __array_ufunc__(self, function, method, *arguments, **keywords):
        return self

    def any(self):
        """None of its numbers, which are not there, is true."""
        return False

    def __gt__(self, other):
        return self

    def __truediv__(self, other):
        return self
