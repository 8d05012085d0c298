"""Nearest-code search and codebook statistics on the processor."""

import numpy as np

from backends import kernels
from backends.numba.engine.compiled import compiled, copy, prange
from backends.reference.quantize import require_codes


@kernels.nearest_code.version("numba")
def nearest_code(vectors, codebook):
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


@kernels.codebook_statistics.version("numba")
def codebook_statistics(vectors, codes, count):
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
