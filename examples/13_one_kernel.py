"""Lesson 13: one kernel, from a formula to Numba to CUDA.

You will learn  what makes a kernel fast: not fewer operations, but fewer trips to memory
Minutes         30
Needs           lesson 5

    python examples/13_one_kernel.py --quick
"""

# %% [markdown]
# A *kernel* is the inner loop that does the work of an operation. This lesson takes one, the
# nearest code of lesson 5, from the formula to compiled loops to a graphics processor (GPU). You
# need no GPU: [Numba](https://numba.pydata.org) can simulate one, slowly. That is good enough to
# learn from, and to count with.

# %% A picture to quantise
# The vectors are the colours of some emoji, the codebook is a palette of 16 of them, found by the
# `Quantizer` of lesson 5.
import math
import time

import lesson
import numba
import numpy as np
from exercises.simulator import Counted, cuda

import backends
from backends.kernels import nearest_code
from vqv2 import Tensor
from vqv2.data import images
from vqv2.models.quantizer import Quantizer

options = lesson.options(__doc__, colours=(16, 2, 256))
emoji = images.open_images("emoji:64", 64)
food = np.flatnonzero(emoji.labels == emoji.class_names.index("food-plants"))
pictures = emoji.batch(food[[8, 20, 61]])
colours = pictures.reshape(-1, 3)
K, D = options.colours, 3
quantizer, rng = Quantizer(K, D, decay=0.8, restart_after=5), np.random.default_rng(0)
for _ in range(20):
    quantizer(Tensor(colours), rng)
palette = quantizer.codebook


# %% 1. The formula
# One vector $h$ at a time: $\arg\min_k \sum_d (h_d - e_{kd})^2$. NumPy makes an array of 16 x 3
# differences, one of their squares, and one of the sums, for each vector. This is the library's
# reference: slow, and the judge of all others.
def timed(function):
    """(result, seconds): the best of three runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


with backends.use("reference"):
    expected, reference_seconds = timed(lambda: nearest_code(colours, palette))


# %% 2. All at once
# NumPy is fast on large arrays, so: all differences in one go. But that is an array of N x 16 x 3
# numbers, written to memory and read again, several times.
def all_at_once(vectors, codebook):
    """(N,) codes by way of an (N, K, D) array."""
    return ((vectors[:, None] - codebook) ** 2).sum(axis=-1).argmin(axis=1)


broadcast, broadcast_seconds = timed(lambda: all_at_once(colours, palette))


# %% 3. Compiled loops
# Numba compiles this to machine code. What is between input and output lives in registers.
@numba.njit
def loops(vectors, codebook, codes):
    """One vector after the other; nothing is written but the codes."""
    for i in range(vectors.shape[0]):
        best, smallest = 0, math.inf
        for k in range(codebook.shape[0]):
            distance = 0.0
            for d in range(codebook.shape[1]):
                difference = vectors[i, d] - codebook[k, d]
                distance += difference * difference
            if distance < smallest:
                best, smallest = k, distance
        codes[i] = best


codes = np.zeros(len(colours), np.int64)
loops(colours, palette, codes)  # compiles
_, loop_seconds = timed(lambda: loops(colours, palette, codes))


# %% 4. A CUDA kernel
# On a GPU thousands of threads run the same function. `cuda.grid(1)` says which thread this is, and
# each takes one vector. There are whole blocks of threads only: some may have nothing to do.
@cuda.jit
def one_thread_per_vector(vectors, codebook, codes):
    """Every thread reads the whole codebook from global memory."""
    i = cuda.grid(1)
    if i < vectors.shape[0]:
        best, smallest = 0, math.inf
        for k in range(codebook.shape[0]):
            distance = 0.0
            for d in range(D):
                difference = vectors[i, d] - codebook[k, d]
                distance += difference * difference
            if distance < smallest:
                best, smallest = k, distance
        codes[i] = best


# %% 5. A CUDA kernel with shared memory
# All threads of a block want the same codebook. So they load it together, each one code, into a
# small array that they share. They wait for one another at a *barrier*, and then read the codes
# from there. The vector, too, is read once, into registers. (Here the whole codebook fits. A
# larger one goes through shared memory in *tiles*, a few codes at a time, with a barrier before
# and after each: exercise e17.)
THREADS = K


@cuda.jit
def shared_codebook(vectors, codebook, codes):
    """Every block reads the codebook once."""
    tile = cuda.shared.array((K, D), numba.float32)
    i, lane = cuda.grid(1), cuda.threadIdx.x
    for d in range(D):
        tile[lane, d] = codebook[lane, d]
    cuda.syncthreads()
    if i < vectors.shape[0]:
        red, green, blue = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        best, smallest = 0, math.inf
        for k in range(K):
            distance = (red - tile[k, 0]) ** 2
            distance += (green - tile[k, 1]) ** 2
            distance += (blue - tile[k, 2]) ** 2
            if distance < smallest:
                best, smallest = k, distance
        codes[i] = best


# %% Count reads and writes
# `Counted` is an array that counts. A plain Python call runs the loops of version 3 on it. For the
# broadcast version we add up what NumPy must do: each step reads its inputs and writes its output.
some = np.linspace(0, len(colours) - 1, 100 if options.quick else 400).astype(int)
few = np.ascontiguousarray(colours[some])


def count(run):
    """(codes, numbers read, numbers written) of a version on a few vectors."""
    vectors, codebook = Counted(few), Counted(palette)
    result = Counted(np.full(len(few), -1))
    run(vectors, codebook, result)
    arrays = (vectors, codebook, result)
    return result.array, sum(a.reads for a in arrays), sum(a.writes for a in arrays)


blocks = -(-len(few) // THREADS)
versions = {
    "loops": count(loops.py_func),
    "CUDA, global memory": count(one_thread_per_vector[blocks, THREADS]),
    "CUDA, shared memory": count(shared_codebook[blocks, THREADS]),
}
N = len(few)
traffic = {
    # difference: reads 2 N K D; square: N K D; sum: N K D; argmin: N K. Writes 2 N K D + N K + N.
    "NumPy, all at once": (4 * N * K * D + N * K, 2 * N * K * D + N * K + N),
    **{name: (reads, writes) for name, (_, reads, writes) in versions.items()},
}

# %% Draw it
drawing = lesson.Figure((13, 6.4), layout="constrained")
left, right = drawing.subfigures(1, 2, width_ratios=[1, 1.2])
panels = left.subplots(4, 3, gridspec_kw={"height_ratios": [1, 1, 1, 0.4]})
quantised = palette[codes].reshape(pictures.shape)
code_maps = codes.reshape(pictures.shape[:3])
for i in range(3):
    lesson.show(panels[0, i], pictures[i], "image" if i == 1 else "")
    lesson.show(panels[1, i], code_maps[i], "its codes" if i == 1 else "", cmap="tab20")
    lesson.show(panels[2, i], quantised[i], f"{K} colours" if i == 1 else "")
    panels[3, i].remove()
strip = left.add_subplot(panels[3, 0].get_gridspec()[3, :])
lesson.show(strip, palette[None], "the palette", frame=True)
strip.vlines(np.arange(K + 1) - 0.5, -0.5, 0.5, color="#888888", lw=0.6)
speed, memory = right.subplots(2, 1)
seconds = {
    "reference": reference_seconds,
    "NumPy, all at once": broadcast_seconds,
    "loops": loop_seconds,
}
nanoseconds = [1e9 * s / len(colours) for s in seconds.values()]
speed.barh(list(seconds), nanoseconds, color=lesson.PALETTE[0])
for place, value in enumerate(nanoseconds):
    speed.text(value, place, f" {value:.0f}", va="center", fontsize=9)
speed.set(xscale="log", title="Nanoseconds per vector, here (log scale)")
speed.set_xlim(right=4 * max(nanoseconds))
speed.invert_yaxis()
for offset, (word, which) in enumerate((("read", 0), ("written", 1))):
    values = [pair[which] / N for pair in traffic.values()]
    places = np.arange(len(traffic)) + 0.36 * offset
    memory.barh(places, values, 0.34, color=lesson.PALETTE[which], label=word)
    for place, value in zip(places, values, strict=True):
        memory.text(value, place, f" {value:.0f}", va="center", fontsize=9)
memory.set_yticks(np.arange(len(traffic)) + 0.18, list(traffic))
memory.set(title="Traffic with memory, numbers per vector")
memory.set_xlim(right=1.15 * max(reads / N for reads, _ in traffic.values()))
memory.invert_yaxis()
memory.legend(loc="lower right")
lesson.save(
    drawing,
    options,
    "13_one_kernel",
    "Left: emoji, their codes, and the emoji in the colours of the palette. Right: "
    "nanoseconds per vector of three versions, and how many numbers each version reads "
    "and writes.",
)

# %% Figures
for name, (reads, writes) in traffic.items():
    print(f"{name:20} reads {reads / N:6.1f} and writes {writes / N:6.1f} numbers per vector")
for name, value in seconds.items():
    print(f"{name:20} {1e9 * value / len(colours):8.0f} ns per vector")
lesson.expect(
    np.array_equal(broadcast, expected)
    and np.array_equal(codes, expected)
    and all(np.array_equal(result, expected[some]) for result, _, _ in versions.values()),
    "all versions find the same codes",
)
lesson.expect(
    traffic["CUDA, shared memory"][0] == N * D + blocks * K * D,
    "with shared memory, vectors are read once and the codebook once per block",
)
lesson.expect(
    traffic["loops"] == traffic["CUDA, global memory"] == (2 * N * K * D, N),
    "without it, every vector reads the whole codebook",
)
if options.colours != 16:
    print(
        f"Reads per vector grow like K without shared memory, {2 * K * D}. With it a block has as"
    )
    print(f"many threads as codes, so each thread loads one: {D} + {D} numbers whatever K is, and")
    print("some more where the last block is not full.")

# %% [markdown]
# The library's own Numba kernel (`backends/numba/quantize.py`) searches for 128 vectors side by
# side, so that one machine instruction serves many of them. Its GPU kernels are CUDA C++: a
# simulator cannot show how fast they are, and Numba cannot reach everything a GPU has.
#
# Try: `--colours 64`. By how much will each kind of traffic grow?
#
# Exercises: e16 (a Numba kernel), e17 (a CUDA kernel).
