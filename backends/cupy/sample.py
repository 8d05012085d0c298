"""Drawing codes from logits on a device: sample.cu."""

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda

source = cuda.Source(__file__, THREADS=cuda.THREADS)


@kernels.sample_codes.version("cupy")
def sample_codes(logits, seeds, position, temperature, top_k, top_p):
    xp, (rows, count) = array_module(logits), logits.shape
    codes = xp.empty(rows, np.int64)
    kept, weights = xp.empty((2, rows, count), logits.dtype)
    dropped = xp.empty((rows, count), np.int32)
    arrays = (cuda.contiguous(logits), cuda.contiguous(seeds), kept, weights, dropped, codes)
    how = settings(temperature, top_k, top_p)
    source.launch("sample_codes", rows, cuda.THREADS, *arrays, int(position), count, *how)
    return codes


def settings(temperature, top_k, top_p):
    """How codes are drawn, in the numbers that the kernels take."""
    drawing = int(temperature != 0)
    return float(temperature if drawing else 1), int(top_k), float(top_p), drawing
