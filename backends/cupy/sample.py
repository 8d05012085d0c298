"""Drawing codes from logits on a device: sample.cu."""

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda

source = cuda.Source(__file__, THREADS=cuda.THREADS)


@kernels.sample_codes.version("cupy")
def sample_codes(logits, gumbel, temperature, top_k, top_p):
    xp, drawing = array_module(logits), int(temperature != 0)
    rows, count = logits.shape
    codes = xp.empty(rows, np.int64)
    kept, weights = xp.empty((2, rows, count), logits.dtype)
    dropped = xp.empty((rows, count), np.int32)
    arrays = (cuda.contiguous(logits), cuda.contiguous(gumbel), kept, weights, dropped, codes)
    settings = (float(temperature if drawing else 1), int(top_k), float(top_p), drawing)
    source.launch("sample_codes", rows, cuda.THREADS, *arrays, count, *settings)
    return codes
