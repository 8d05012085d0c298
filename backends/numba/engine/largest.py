"""The largest number of a row, for compiled loops over float32, so that they vectorise.

Which of two floats is larger depends on whether one is NaN, and so compilers look at one after the
other. Read as a whole number, a float's bits are in the right order already, only that negative
ones run backwards: those are mirrored. NaN comes after infinity, or with its sign set before all
numbers; what is computed with it afterwards is NaN in either case.
"""

import numpy as np

from backends.numba.engine.compiled import Part

SHIFT, ALL_BUT_SIGN = np.int32(31), np.int32(2**31 - 1)


def _mirrored(bits):
    """The bits of a float32, in order for int32; its own inverse."""
    return bits ^ ((bits >> SHIFT) & ALL_BUT_SIGN)


def _largest(row):
    return row.max()


def _largest_float32(row):
    highest = np.int32(-(2**31))
    for i in range(len(row)):
        highest = max(highest, _mirrored(np.float32(row[i]).view(np.int32)))
    return np.int32(_mirrored(highest)).view(np.float32)


def _build():
    import numba
    from numba.extending import overload, register_jitable

    names = {**globals(), "_mirrored": register_jitable(_mirrored)}
    float32 = type(_largest_float32)(_largest_float32.__code__, names)

    @overload(_largest)
    def _choose(row):
        return float32 if row.dtype == numba.types.float32 else lambda row: row.max()

    return _largest


largest = Part(_largest, _build)
