"""Softmax cross-entropy over discrete codes: the loss of every prior, in nats per code."""

import math

import numpy as np

from backends import cuda
from backends.compiled import compiled, prange
from backends.exponential import exp
from backends.largest import largest
from backends.quantize import require_codes
from backends.selection import kernel
from backends.transfer import array_module


@kernel
def cross_entropy(logits, targets):
    """-log softmax(logits)[target] per row, in nats: (M, K), (M,) integers -> (M,).

    Raises `IndexError` for a target outside 0 ... K - 1, as does the gradient.
    """
    require_codes(targets, logits.shape[-1])
    xp = array_module(logits)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = xp.take_along_axis(shifted, targets[:, None], axis=-1)[:, 0]
    return xp.log(xp.exp(shifted).sum(axis=-1)) - chosen


@cross_entropy.version("numba")
def _cross_entropy_numba(logits, targets):
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


@kernel
def cross_entropy_gradient(logits, targets, d_losses):
    """(softmax(logits) - one_hot(targets)) * d_losses per row: -> (M, K)."""
    require_codes(targets, logits.shape[-1])
    xp = array_module(logits)
    weights = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities = weights / weights.sum(axis=-1, keepdims=True)
    one_hot = targets[:, None] == xp.arange(logits.shape[-1])
    return (probabilities - one_hot) * d_losses[:, None]


@cross_entropy_gradient.version("numba")
def _cross_entropy_gradient_numba(logits, targets, d_losses):
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


# The CUDA versions: cross_entropy.cu. They do not raise for a target outside 0 ... K - 1, since
# looking would make the host wait for the device: such a row's loss and gradient are NaN.

_cuda = cuda.Source("cross_entropy.cu")
_ROWS_PER_BLOCK = cuda.THREADS // cuda.WARP


def _launch(kernel, logits, targets, *arrays):
    rows, count = logits.shape
    blocks = cuda.blocks_of(rows, _ROWS_PER_BLOCK)
    arguments = (cuda.contiguous(logits), cuda.contiguous(targets, np.int64), *arrays)
    _cuda.launch(kernel, blocks, cuda.THREADS, *arguments, np.int64(rows), count)


@cross_entropy.version("cupy")
def _cross_entropy_cupy(logits, targets):
    losses = array_module(logits).empty(len(logits), logits.dtype)
    _launch("cross_entropy", logits, targets, losses)
    return losses


@cross_entropy_gradient.version("cupy")
def _cross_entropy_gradient_cupy(logits, targets, d_losses):
    d_logits = array_module(logits).empty(logits.shape, logits.dtype)
    _launch("cross_entropy_gradient", logits, targets, cuda.contiguous(d_losses), d_logits)
    return d_logits
