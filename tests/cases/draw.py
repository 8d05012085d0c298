"""Random arrays of any dtype and memory layout, of which all cases are made."""

from functools import partial

import numpy as np

LAYOUTS = ("contiguous", "strided", "transposed")


class Draw:
    """Random arrays of one dtype and one memory layout, the same numbers for all of these."""

    def __init__(self, dtype, layout="contiguous", seed=0):
        self.dtype = np.dtype(dtype)
        self.layout = layout
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape):
        """Normal numbers."""
        return self.place(self.rng.standard_normal(shape).astype(np.float32).astype(self.dtype))

    def whole(self, low, high, *shape):
        """Whole numbers low ... high - 1, as floats: sums and products of a few are exact."""
        return self.place(self.rng.integers(low, high, shape).astype(self.dtype))

    def codes(self, count, *shape):
        """Codes 0 ... count - 1, int64."""
        return self.place(self.rng.integers(0, count, shape))

    def place(self, array):
        """`array` in the memory layout asked for."""
        if self.layout == "transposed":
            return np.array(array, order="F")
        if self.layout == "strided":
            filler = np.nan if array.dtype.kind == "f" else 2**40  # must never be read
            wide = np.full([2 * n for n in array.shape], filler, array.dtype)
            view = wide[(..., *[slice(None, None, 2)] * array.ndim)]
            view[...] = array
            return view
        return np.asarray(array)


def table(builder, table, *more):
    """One case per row of a table."""
    return {name: partial(builder, *row, *more) for name, row in table.items()}
