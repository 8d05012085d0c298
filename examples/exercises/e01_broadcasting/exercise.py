"""The gradient of broadcasting.

After lesson 1. NumPy stretches an array along axes of length 1, and puts axes in front, until the
shapes agree: (3, 1) * (4,) has shape (3, 4). An element that was stretched appears many times in
the output. Each copy has its own cotangent dL/d(copy), and a change of the element changes every
copy.
"""

import numpy as np  # noqa: F401  (you will need it)


def undo_broadcasting(cotangent, shape):
    """Task 1: the cotangent of an array of `shape`, given that of its stretched form.

    `cotangent` has the shape that `shape` was broadcast to. The result has `shape`.
    """
    raise NotImplementedError("task 1: undo_broadcasting")


def multiply_gradients(a, b, cotangent):
    """Task 2: (dL/da, dL/db) for y = a * b, where a and b may broadcast against each other.

    `cotangent` is dL/dy and has the shape of y. The results have the shapes of a and b.
    """
    raise NotImplementedError("task 2: multiply_gradients")
