"""Drawing codes, warmer and colder.

After lesson 12. Between a prior's logits and the next code stand three small steps: a softmax with
a temperature, the choice of which codes may be drawn at all, and the draw.
"""

import numpy as np  # noqa: F401  (you will need it)


def probabilities(logits, temperature):
    """Task 1: the softmax of logits / temperature, (K,) -> (K,). Logits may be in the thousands."""
    raise NotImplementedError("task 1: probabilities")


def nucleus(p, top_p):
    """Task 2: p with all codes set to zero but the nucleus, divided by its new sum.

    The *nucleus* are the fewest codes that have probability top_p or more together: the likeliest
    first, of equally likely ones that with the lowest number first. top_p is in (0, 1].
    """
    raise NotImplementedError("task 2: nucleus")


def draw(p, u):
    """Task 3: the code that a number u, uniform in [0, 1), draws from probabilities p (K,).

    Lay the probabilities side by side on [0, 1), code 0 first: the code whose stretch holds u. A
    code with probability zero is never drawn, not even where rounding makes sum(p) a bit below 1.
    """
    raise NotImplementedError("task 3: draw")
