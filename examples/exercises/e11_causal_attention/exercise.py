"""Causal attention, and its gradient.

After lesson 9. For L places with queries q (L, d), keys k (L, d) and values v (L, e), place i reads

    read_i = sum over j < i of w_ij v_j,   w_ij = exp(s_ij) / sum over l < i of exp(s_il),
    s_ij = q_i . k_j / sqrt(d).

The first place has nobody before it and reads exactly zero.
"""

import numpy as np  # noqa: F401  (you will need it)


def weights(q, k):
    """Task 1: w (L, L), with exact zeros where j >= i. It must not overflow for large scores."""
    raise NotImplementedError("task 1: weights")


def attention(q, k, v):
    """Task 2: what every place reads, (L, e)."""
    raise NotImplementedError("task 2: attention")


def attention_gradient(q, k, v, dy):
    """Task 3: (dL/dq, dL/dk, dL/dv) from the cotangent dy (L, e) of what was read."""
    raise NotImplementedError("task 3: attention_gradient")
