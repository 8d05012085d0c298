"""An operation of your own, and nudging.

After lesson 2. First an operation with two arguments that want gradients, then the check that
lesson 2 made of every gradient, written by you: along a random direction, the loss must change at
the rate that the gradient says.
"""

import numpy as np  # noqa: F401  (you will need it)

from vqv2 import differentiable


@differentiable
def bump(x, width):
    """Task 1: y = exp(-(x / width)^2 / 2), for an array x and one number, the array width ().

    As in lesson 2, return y and a function that makes (dL/dx, dL/dwidth) of the cotangent dL/dy.
    The gradients have the shapes of x and width.
    """
    raise NotImplementedError("task 1: bump")


def nudged_rate(function, x, direction, cotangent, step):
    """Task 2: how fast L = sum(cotangent * function(x)) changes when x moves along direction.

    Two-sided: from x + step direction and x - step direction. A number.
    """
    raise NotImplementedError("task 2: nudged_rate")


def is_right(function, gradient, x, rng):
    """Task 3: True if gradient(x, cotangent) is the gradient of sum(cotangent * function(x)).

    function(x) has the shape of x. Find out by task 2, in float64, and draw what you need from the
    generator rng. An error of one per thousand must be found, also one that sums up to zero.
    """
    raise NotImplementedError("task 3: is_right")
