"""One answer to e09."""

import math

import numpy as np


def frequencies(codes, size):
    """Counts, each one larger."""
    return (np.bincount(codes.ravel(), minlength=size) + 1) / (codes.size + size)


def nats(codes, probabilities):
    """Mean surprise."""
    return -np.log(probabilities[codes]).mean()


def perplexity(probabilities):
    """exp of the entropy of what occurs."""
    occurring = probabilities[probabilities > 0]
    return math.exp(-(occurring * np.log(occurring)).sum())
