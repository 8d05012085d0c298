"""The codebook as a moving average.

After lesson 5. Equation 3 of the paper. For each of K codes, two moving averages with decay gamma:
of the number of vectors that chose the code in a step (n), and of their sum (s),

    N <- gamma N + (1 - gamma) n          m <- gamma m + (1 - gamma) s.

Both start at zero, so after t steps they are too small by the factor 1 - gamma^t. Dividing by it
is called *debiasing*. The code is then m / N.
"""

import numpy as np  # noqa: F401  (you will need it)


def moving_averages(counts, sums, vectors, codes, decay):
    """Task 1: the new (N, m) after a step in which vectors (M, D) chose codes (M,).

    counts N (K,) and sums m (K, D) are the former averages; they are not changed.
    """
    raise NotImplementedError("task 1: moving_averages")


def debiased(average, steps, decay):
    """Task 2: an average that started at zero, without its bias, after `steps` = 1, 2, ... ."""
    raise NotImplementedError("task 2: debiased")


def codebook(counts, sums, steps, decay, former, epsilon=1e-5):
    """Task 3: the codebook (K, D) from the averages of task 1.

    Counts and sums are debiased, then smoothed (Laplace): as if, besides all others, `epsilon`
    vectors had chosen each code that lie where it was, at its row of `former` (K, D).
    So a code that nobody chooses keeps its vector, instead of becoming 0 / 0.
    """
    raise NotImplementedError("task 3: codebook")
