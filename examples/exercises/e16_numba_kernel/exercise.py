"""A Numba kernel.

After lesson 13. NumPy runs a chain like a * (1 / (1 + exp(-b))) one operation at a time, and each
of them reads and writes whole arrays. Numba compiles Python loops to machine code: one loop reads
a and b once, keeps what is between in registers, and writes the result once.

    @numba.njit
    def double(x, y):
        for i in range(x.size):
            y[i] = 2 * x[i]

Inside, use loops, indices and `math`, no NumPy functions that make arrays.
"""

import math  # noqa: F401  (you will need it)

import numba


@numba.njit
def gate(a, b, out):
    """Task 1: out[i] = a[i] sigmoid(b[i]), for arrays (n,) of float64 or float32.

    Right for b = -800 as well, and out is all that it writes.
    """
    raise NotImplementedError("task 1: gate")


@numba.njit
def cross_entropy(logits, targets, out):
    """Task 2: out[i] = log(sum over k of exp(logits[i, k])) - logits[i, targets[i]].

    logits (n, K), targets (n,) whole numbers, out (n,). Right for logits of 1000 as well, and
    without an array of its own: two loops over a row are enough.
    """
    raise NotImplementedError("task 2: cross_entropy")
