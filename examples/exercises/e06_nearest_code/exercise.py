"""Nearest codes, without a matrix of all distances.

After lesson 5. Equation 1 of the paper: the code of a vector h is the k with the smallest distance
to the codebook vector e_k; of several that are equally near, the one with the lowest number.

With N vectors and K codes, N x K distances are a lot: at the paper's sizes 128 images of 64 x 64
places against 512 codes are 1 GB. They are not needed at the same time.
"""

import numpy as np  # noqa: F401  (you will need it)


def nearest_code(vectors, codebook):
    """Task 1: codes (N,), whole numbers, from vectors (N, D) and a codebook (K, D).

    Memory: at no time more than about 1000 x K numbers besides the arguments and the result. Time:
    Python loops over blocks of vectors are fine, loops over all vectors are slow.
    """
    raise NotImplementedError("task 1: nearest_code")
