"""Nearest-code search and codebook statistics (equations 1 and 3 of the paper).

Vectors are (N, D), a codebook is (K, D), codes are (N,) int64. No fast version ever holds an
N x K matrix of distances.
"""

import numpy as np

from backends import cuda
from backends.compiled import compiled, copy, prange
from backends.selection import kernel
from backends.transfer import array_module


def require_codes(codes, count):
    """Raise `IndexError` unless every one of `codes` is one of 0 ... count - 1."""
    if codes.size and not (codes.min() >= 0 and codes.max() < count):
        raise IndexError(f"codes run from {codes.min()} to {codes.max()}, outside 0 to {count - 1}")


@kernel
def nearest_code(vectors, codebook):
    """Equation 1: k = argmin_j ||h - e_j||, ties to the lowest index. (N, D), (K, D) -> (N,).

    A distance that is NaN counts as the smallest, as in `numpy.argmin`; the first one wins.
    """
    xp = array_module(vectors)
    codes = xp.empty(len(vectors), xp.int64)
    for n, vector in enumerate(vectors):
        codes[n] = ((vector - codebook) ** 2).sum(axis=-1).argmin()
    return codes


@nearest_code.version("numba")
def _nearest_code_numba(vectors, codebook):
    codes = np.empty(len(vectors), np.int64)
    _nearest_code_loop(np.ascontiguousarray(vectors), np.ascontiguousarray(codebook), codes)
    return codes


@compiled
def _nearest_code_loop(vectors, codebook, codes):
    count, dimensions = codebook.shape
    whole = dimensions // 4 * 4
    block = 128  # vectors searched side by side: one instruction serves many of them
    for part in prange((len(vectors) + block - 1) // block):
        start = part * block
        stop = min(start + block, len(vectors))
        columns = np.zeros((dimensions, block), vectors.dtype)
        for n in range(start, stop):
            for d in range(dimensions):
                columns[d, n - start] = vectors[n, d]
        best = np.zeros(block, np.int64)
        smallest = np.full(block, np.inf, vectors.dtype)
        for k in range(count):
            distance = np.zeros(block, vectors.dtype)
            code = codebook[k]
            for d in range(0, whole, 4):  # four at a time: fewer ways to memory and back
                for m in range(block):
                    a, b = columns[d, m] - code[d], columns[d + 1, m] - code[d + 1]
                    c, e = columns[d + 2, m] - code[d + 2], columns[d + 3, m] - code[d + 3]
                    distance[m] += a * a + b * b + c * c + e * e
            for d in range(whole, dimensions):
                for m in range(block):
                    distance[m] += (columns[d, m] - code[d]) * (columns[d, m] - code[d])
            for m in range(block):
                found = not distance[m] >= smallest[m]  # smaller, or NaN
                if found and smallest[m] == smallest[m]:
                    best[m] = k
                    smallest[m] = distance[m]
        copy(best, codes[start:stop])


@kernel
def codebook_statistics(vectors, codes, count):
    """For every code: how many vectors chose it, (K,), and their sum, (K, D), in vectors' dtype.

    Raises `IndexError` for a code outside 0 ... count - 1.
    """
    require_codes(codes, count)
    xp = array_module(vectors)
    counts, sums = (
        xp.zeros(count, vectors.dtype),
        xp.zeros((count, vectors.shape[1]), vectors.dtype),
    )
    xp.add.at(counts, codes, 1)
    xp.add.at(sums, codes, vectors)
    return counts, sums


@codebook_statistics.version("numba")
def _codebook_statistics_numba(vectors, codes, count):
    require_codes(codes, count)
    codes = np.ascontiguousarray(codes)
    sums = np.zeros((count, vectors.shape[1]), vectors.dtype)
    _sum_by_code_loop(np.ascontiguousarray(vectors), codes, sums)
    return np.bincount(codes, minlength=count).astype(vectors.dtype), sums


@compiled
def _sum_by_code_loop(vectors, codes, sums):
    count, dimensions = vectors.shape
    width = 16  # columns per task: tasks never write to the same number
    for part in prange((dimensions + width - 1) // width):
        start = part * width
        stop = min(start + width, dimensions)
        for n in range(count):
            for d in range(start, stop):
                sums[codes[n], d] += vectors[n, d]


# The CUDA versions: quantize.cu.

_VECTORS, _CODES, _DEPTH = 64, 64, 16  # sizes of the search's tiles
_PARTIAL_BYTES = 2**26  # room for the partial sums of `codebook_statistics`
_cuda = cuda.Source("quantize.cu", VECTORS=_VECTORS, CODES=_CODES, DEPTH=_DEPTH)


@nearest_code.version("cupy")
def _nearest_code_cupy(vectors, codebook):
    total, dimensions = vectors.shape
    codes = array_module(vectors).empty(total, np.int64)
    arrays = (cuda.contiguous(vectors), cuda.contiguous(codebook), codes)
    blocks = cuda.blocks_of(total, _VECTORS)
    sizes = (np.int64(total), len(codebook), dimensions)
    _cuda.launch("nearest_code", blocks, cuda.THREADS, *arrays, *sizes)
    return codes


@codebook_statistics.version("cupy")
def _codebook_statistics_cupy(vectors, codes, count):
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
