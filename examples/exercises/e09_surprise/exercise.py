"""Surprise, in nats.

After lesson 7. A guess that gives probability p to what happens is surprised by -log(p). On codes
that it has not seen, its mean surprise is called *cross-entropy*: the loss of every prior here, and
the length of the best file that this guess can make of the codes.
"""

import numpy as np  # noqa: F401  (you will need it)


def frequencies(codes, size):
    """Task 1: the probability of each of `size` codes, (size,), from codes of any shape.

    (count + 1) / (number of codes + size): as if each code had been seen once more than it was, so
    that none has probability zero.
    """
    raise NotImplementedError("task 1: frequencies")


def nats(codes, probabilities):
    """Task 2: the mean of -log(probability) over codes of any shape, a number."""
    raise NotImplementedError("task 2: nats")


def perplexity(probabilities):
    """Task 3: e to the entropy, sum over k of -p_k log(p_k), where 0 log 0 counts as 0.

    How many equally frequent codes would be as hard to guess.
    """
    raise NotImplementedError("task 3: perplexity")
