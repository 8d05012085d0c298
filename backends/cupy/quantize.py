"""Nearest-code search and codebook statistics on a device: quantize.cu."""

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda

_VECTORS, _CODES, _DEPTH = 64, 64, 16  # sizes of the search's tiles
_PARTIAL_BYTES = 2**26  # room for the partial sums of `codebook_statistics`
_cuda = cuda.Source(__file__, VECTORS=_VECTORS, CODES=_CODES, DEPTH=_DEPTH)


@kernels.nearest_code.version("cupy")
def nearest_code(vectors, codebook):
    total, dimensions = vectors.shape
    codes = array_module(vectors).empty(total, np.int64)
    arrays = (cuda.contiguous(vectors), cuda.contiguous(codebook), codes)
    blocks = cuda.blocks_of(total, _VECTORS)
    sizes = (np.int64(total), len(codebook), dimensions)
    _cuda.launch("nearest_code", blocks, cuda.THREADS, *arrays, *sizes)
    return codes


@kernels.codebook_statistics.version("cupy")
def codebook_statistics(vectors, codes, count):
    """Does not raise for a code outside 0 ... count - 1 (the host would have to wait): all NaN."""
    xp = array_module(vectors)
    total, dimensions = vectors.shape
    bytes_per_part = max(1, count * dimensions * vectors.dtype.itemsize)
    parts = max(1, min(512, _PARTIAL_BYTES // bytes_per_part, cuda.blocks_of(total, 64)))
    partial = xp.zeros((parts, count, dimensions), vectors.dtype)
    counts, invalid = xp.zeros(count, np.uint32), xp.zeros((), np.int32)
    threads = cuda.blocks_of(min(dimensions, cuda.THREADS), cuda.WARP) * cuda.WARP
    column_blocks = cuda.blocks_of(dimensions, threads)
    _cuda.launch(
        "add_by_code",
        parts * column_blocks,
        threads,
        *(cuda.contiguous(vectors), cuda.contiguous(codes, np.int64), partial, counts, invalid),
        *(np.int64(total), cuda.blocks_of(total, parts), count, dimensions, column_blocks),
    )
    sums = xp.empty((count, dimensions), vectors.dtype)
    count_of_code = xp.empty(count, vectors.dtype)
    arguments = (partial, counts, invalid, sums, count_of_code, parts, dimensions)
    _cuda.each("add_parts", sums.size, *arguments)
    return count_of_code, sums
