"""The losses on the processor: the same for any number of threads."""

import math

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, flat, prange
from backends.numba.engine.exponential import exp
from backends.numba.engine.largest import largest
from backends.reference.quantize import require_codes

PARTS = 256  # whose sums are added up in order, whatever the number of threads


@kernels.mean_squared_error.version("numba")
def mean_squared_error(a, b):
    partial = np.zeros(PARTS, a.dtype)
    _sum_squares_loop(flat(a), flat(b), partial)
    return partial.sum() / a.dtype.type(a.size)


@compiled
def _sum_squares_loop(a, b, partial):
    parts = len(partial)
    for part in prange(parts):
        first, last = len(a) * part // parts, len(a) * (part + 1) // parts
        x, y = a[first:last], b[first:last]
        total = partial[part]  # zero, of the arrays' dtype
        for i in range(len(x)):
            difference = x[i] - y[i]
            total += difference * difference
        partial[part] = total


@kernels.mean_squared_error_gradient.version("numba")
def mean_squared_error_gradient(a, b, d_error):
    da = np.empty(a.shape, a.dtype)
    factor = a.dtype.type(2 * d_error.item() / a.size)
    _difference_loop(flat(a), flat(b), factor, da.reshape(-1))
    return da


@compiled
def _difference_loop(a, b, factor, da):
    for i in prange(len(a)):
        da[i] = (a[i] - b[i]) * factor


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
