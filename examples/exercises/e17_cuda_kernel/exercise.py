"""A CUDA kernel, in the simulator.

After lesson 13. A kernel is run by many threads at once, in blocks of THREADS. Each thread finds
out which one it is, `cuda.grid(1)`, and does its share. There are whole blocks only, so the last
block may have threads with nothing to do.

Reading the same global memory from every thread is slow. The threads of a block can share a small
array, `cuda.shared.array`: together they load a *tile* of the codebook into it, wait for one
another (`cuda.syncthreads()`), and then each reads the tile as often as it likes.
"""

import numba

from examples.exercises.simulator import cuda

THREADS = 8  # per block, and codes per tile
D = 3


@cuda.jit
def scale(x, factor, y):
    """Task 1: y[i] = factor x[i], one element for each thread."""
    raise NotImplementedError("task 1: scale")


@cuda.jit
def nearest_code(vectors, codebook, codes):
    """Task 2: codes[i] = the nearest code to vectors[i], ties to the lowest, a thread for each i.

    vectors (n, D), codebook (K, D), codes (n,). Every block reads each number of the codebook from
    global memory once only.
    """
    tile = cuda.shared.array((THREADS, D), numba.float64)  # noqa: F841
    raise NotImplementedError("task 2: nearest_code")
