"""Straight through, and who is pulled where.

After lesson 5. Equation 2 has three terms for an encoder output h and its code vector e:

    ||x - D(e)||^2           the decoder's error; its gradient by e is given to h as it is
    ||sg[h] - e||^2          the codebook loss: pulls e to h   (equation 3 may replace it)
    beta ||h - sg[e]||^2     the commitment loss: pulls h to e

sg[...] ("stop gradient") is its argument forward and a constant backward.
"""

import vqv2.functional as F  # noqa: F401  (you will need it)
from vqv2 import differentiable


@differentiable
def straight_through(h, e):
    """Task 1: e forward; backward, the cotangent goes to h unchanged, and nothing to e.

    A function of arrays that returns (output, gradient), as in lesson 2.
    """
    raise NotImplementedError("task 1: straight_through")


def losses(h, e, beta):
    """Task 2: (codebook loss, beta * commitment loss), tensors, means over all elements.

    h and e are tensors of one shape. The gradient of each must reach one of them only.
    """
    raise NotImplementedError("task 2: losses")
