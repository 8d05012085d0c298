"""One answer to e11."""

import math

import numpy as np


def weights(q, k):
    """A softmax over what is earlier."""
    allowed = np.tril(np.ones((len(q), len(q)), bool), -1)
    scores = np.where(allowed, q @ k.T / math.sqrt(q.shape[1]), -np.inf)
    peak = scores.max(axis=1, keepdims=True)
    peak[0] = 0
    w = np.exp(scores - peak)
    return w / np.maximum(w.sum(axis=1, keepdims=True), 1e-300)


def attention(q, k, v):
    """Weighted means of the values."""
    return weights(q, k) @ v


def attention_gradient(q, k, v, dy):
    """Backwards through the product, the softmax and the scores."""
    w, scale = weights(q, k), 1 / math.sqrt(q.shape[1])
    dw = dy @ v.T
    ds = w * (dw - (w * dw).sum(axis=1, keepdims=True)) * scale
    return ds @ k, ds.T @ q, w.T @ dy
