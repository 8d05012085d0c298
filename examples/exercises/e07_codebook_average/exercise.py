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

    Counts are smoothed (Laplace), so that a code with a tiny count does not explode: with the
    debiased counts N and their total T = sum(N), use (N + epsilon) / (T + K epsilon) T.
    A code that nobody ever chose (count 0) keeps its vector in `former` (K, D).
    """
    raise NotImplementedError("task 3: codebook")
