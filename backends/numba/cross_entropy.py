"""Softmax cross-entropy on the processor, row by row."""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, prange
from backends.numba.engine.exponential import exp
from backends.numba.engine.largest import largest
from backends.reference.quantize import require_codes


@kernels.cross_entropy.version("numba")
def cross_entropy(logits, targets):
    require_codes(targets, logits.shape[-1])
    losses = np.empty(len(logits), logits.dtype)
    _cross_entropy_loop(np.ascontiguousarray(logits), np.ascontiguousarray(targets), losses)
    return losses


@compiled
def _cross_entropy_loop(logits, targets, losses):
    rows, count = logits.shape
    for n in prange(rows):
        peak, total = largest(logits[n]), np.float32(0)
        for k in range(count):
            total += exp(logits[n, k] - peak)
        losses[n] = math.log(total) + peak - logits[n, targets[n]]


@kernels.cross_entropy_gradient.version("numba")
def cross_entropy_gradient(logits, targets, d_losses):
    require_codes(targets, logits.shape[-1])
    d_logits = np.empty(logits.shape, logits.dtype)
    _cross_entropy_gradient_loop(
        np.ascontiguousarray(logits),
        np.ascontiguousarray(targets),
        np.ascontiguousarray(d_losses),
        d_logits,
    )
    return d_logits


@compiled
def _cross_entropy_gradient_loop(logits, targets, d_losses, d_logits):
    rows, count = logits.shape
    for n in prange(rows):
        peak, total = largest(logits[n]), np.float32(0)
        for k in range(count):
            d_logits[n, k] = exp(logits[n, k] - peak)
            total += d_logits[n, k]
        share = d_losses[n] / total
        for k in range(count):
            d_logits[n, k] *= share
        d_logits[n, targets[n]] -= d_losses[n]
