"""One answer to e14."""

import numpy as np


def probabilities(logits, temperature):
    """Softmax of what is divided by the temperature."""
    scaled = logits / temperature
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def nucleus(p, top_p):
    """The likeliest, up to the one with which their sum reaches top_p."""
    order = np.argsort(-p, kind="stable")
    count = min(len(p), np.searchsorted(np.cumsum(p[order]), top_p) + 1)
    kept = np.zeros_like(p)
    kept[order[:count]] = p[order[:count]]
    return kept / kept.sum()


def draw(p, u):
    """The first stretch that ends beyond u."""
    last = np.flatnonzero(p)[-1]
    return int(min(last, np.searchsorted(np.cumsum(p), u, side="right")))
