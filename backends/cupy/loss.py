"""Softmax cross-entropy on a device: loss.cu.

These do not raise for a target outside 0 ... K - 1, since looking would make the host wait for the
device: such a row's loss and gradient are NaN.
"""

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda

_cuda = cuda.Source(__file__)


_ROWS_PER_BLOCK = cuda.THREADS // cuda.WARP


def _launch(kernel, logits, targets, *arrays):
    rows, count = logits.shape
    blocks = cuda.blocks_of(rows, _ROWS_PER_BLOCK)
    arguments = (cuda.contiguous(logits), cuda.contiguous(targets, np.int64), *arrays)
    _cuda.launch(kernel, blocks, cuda.THREADS, *arguments, np.int64(rows), count)


@kernels.cross_entropy.version("cupy")
def cross_entropy(logits, targets):
    losses = array_module(logits).empty(len(logits), logits.dtype)
    _launch("cross_entropy", logits, targets, losses)
    return losses


@kernels.cross_entropy_gradient.version("cupy")
def cross_entropy_gradient(logits, targets, d_losses):
    d_logits = array_module(logits).empty(logits.shape, logits.dtype)
    _launch("cross_entropy_gradient", logits, targets, cuda.contiguous(d_losses), d_logits)
    return d_logits
