"""One answer to e16."""

import math

import numba


@numba.njit
def gate(a, b, out):
    """One pass; exp of what is never positive."""
    for i in range(a.size):
        decay = math.exp(-abs(b[i]))
        out[i] = a[i] * (1.0 if b[i] >= 0 else decay) / (1 + decay)


@numba.njit
def cross_entropy(logits, targets, out):
    """The peak, then the sum."""
    for i in range(logits.shape[0]):
        peak = logits[i, 0]
        for k in range(1, logits.shape[1]):
            peak = max(peak, logits[i, k])
        total = 0.0
        for k in range(logits.shape[1]):
            total += math.exp(logits[i, k] - peak)
        out[i] = math.log(total) + peak - logits[i, targets[i]]
