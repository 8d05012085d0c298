"""Additions, activations, gates and dropout: elementwise work, each chain in one pass over memory.

Arrays may have any shape; the last axis is the channel axis where there is one. All kernels keep
the dtype of their first argument.
"""

import math

import numpy as np

from backends import cuda
from backends.compiled import compiled, flat, part, prange
from backends.exponential import ONE, exp
from backends.selection import kernel
from backends.transfer import array_module

SMALL = 2**14  # numbers that NumPy has added up before a second thread is awake


@kernel(also=("cupy",))
def add(a, b):
    """a + b, of arrays or numbers whose shapes broadcast."""
    return a + b


@add.version("numba")
def _add_numba(a, b):
    if not _alike(a, b) or a.size < SMALL:
        return a + b
    y = np.empty(a.shape, a.dtype)
    _add_loop(flat(a), flat(b), y.reshape(-1))
    return y


def _alike(a, b):
    """Whether both are arrays of one shape and dtype."""
    arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return arrays and a.shape == b.shape and a.dtype == b.dtype


@compiled
def _add_loop(a, b, y):
    for i in prange(a.size):
        y[i] = a[i] + b[i]


@kernel
def relu(x):
    """max(x, 0), elementwise."""
    return array_module(x).maximum(x, 0)


@relu.version("numba")
def _relu_numba(x):
    y = np.empty(x.shape, x.dtype)
    _relu_loop(flat(x), y.reshape(-1))
    return y


@compiled
def _relu_loop(x, y):
    for i in prange(x.size):
        y[i] = 0 if x[i] <= 0 else x[i]  # NaN stays NaN


@kernel
def relu_gradient(y, dy):
    """Gradient of `relu` from its output `y`: dy where y > 0, else 0."""
    return array_module(y).where(y > 0, dy, dy.dtype.type(0))


@relu_gradient.version("numba")
def _relu_gradient_numba(y, dy):
    dx = np.empty(y.shape, y.dtype)
    _relu_gradient_loop(flat(y), flat(dy), dx.reshape(-1))
    return dx


@compiled
def _relu_gradient_loop(y, dy, dx):
    for i in prange(y.size):
        dx[i] = dy[i] if y[i] > 0 else 0


@kernel
def elu(x):
    """x where x > 0, else exp(x) - 1 (ELU with alpha = 1), elementwise."""
    xp = array_module(x)
    return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))


@elu.version("numba")
def _elu_numba(x):
    y = np.empty(x.shape, x.dtype)
    _elu_loop(flat(x), y.reshape(-1))
    return y


@compiled
def _elu_loop(x, y):
    for i in prange(x.size):
        below = exp(x[i]) - ONE  # computed always: a branch would often be mispredicted
        y[i] = x[i] if x[i] > 0 else below


@kernel
def elu_gradient(y, dy):
    """Gradient of `elu` from its output `y`: dy * (1 where y > 0, else y + 1)."""
    return dy * array_module(y).where(y > 0, y.dtype.type(1), y + 1)


@elu_gradient.version("numba")
def _elu_gradient_numba(y, dy):
    dx = np.empty(y.shape, y.dtype)
    _elu_gradient_loop(flat(y), flat(dy), dx.reshape(-1))
    return dx


@compiled
def _elu_gradient_loop(y, dy, dx):
    for i in prange(y.size):
        dx[i] = dy[i] if y[i] > 0 else dy[i] * (y[i] + ONE)


@kernel(also=("numba",))
def sigmoid(x):
    """1 / (1 + exp(-x)), elementwise, without overflow for any finite x."""
    xp = array_module(x)
    decay = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + decay), decay / (1 + decay))


@kernel
def gate(x):
    """a * sigmoid(b) for x = [a, b] split in halves along the channels: (..., 2C) -> (..., C)."""
    a, b = array_module(x).split(x, 2, axis=-1)
    return a * sigmoid.reference(b)


@gate.version("numba")
def _gate_numba(x):
    rows, channels = math.prod(x.shape[:-1]), x.shape[-1] // 2
    y = np.empty((*x.shape[:-1], channels), x.dtype)
    _gate_loop(np.ascontiguousarray(x).reshape(rows, 2, channels), y.reshape(rows, channels))
    return y


@compiled
def _gate_loop(x, y):
    rows, channels = y.shape
    for n in prange(rows):
        for c in range(channels):
            y[n, c] = x[n, 0, c] / (ONE + exp(-x[n, 1, c]))


@kernel
def gate_gradient(x, dy):
    """Gradient of `gate` with respect to x: (..., 2C), (..., C) -> (..., 2C)."""
    xp = array_module(x)
    a, b = xp.split(x, 2, axis=-1)
    s = sigmoid.reference(b)
    return xp.concatenate([dy * s, dy * a * s * (1 - s)], axis=-1)


@gate_gradient.version("numba")
def _gate_gradient_numba(x, dy):
    rows, channels = math.prod(x.shape[:-1]), x.shape[-1] // 2
    dx = np.empty(x.shape, x.dtype)
    _gate_gradient_loop(
        np.ascontiguousarray(x).reshape(rows, 2, channels),
        np.ascontiguousarray(dy).reshape(rows, channels),
        dx.reshape(rows, 2, channels),
    )
    return dx


@compiled
def _gate_gradient_loop(x, dy, dx):
    rows, channels = dy.shape
    for n in prange(rows):
        for c in range(channels):
            s = ONE / (ONE + exp(-x[n, 1, c]))
            dx[n, 0, c] = dy[n, c] * s
            dx[n, 1, c] = dy[n, c] * x[n, 0, c] * s * (ONE - s)


def keep(xp, seed, index, rate):
    """Whether dropout keeps the elements numbered `index` (uint64): a boolean array.

    The decision is a hash of (seed, index), the index-th output of the splitmix64 generator, so
    that no mask is ever stored: forward and backward pass, and every backend, recompute it.
    """
    z = xp.uint64(seed) + (index + xp.uint64(1)) * xp.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> xp.uint64(30))) * xp.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> xp.uint64(27))) * xp.uint64(0x94D049BB133111EB)
    z = z ^ (z >> xp.uint64(31))
    return (z >> xp.uint64(40)) >= xp.uint64(int(rate * 2**24))


def seed_from(seed, first):
    """The seed with which `keep` decides about element i as `seed` does about element first + i."""
    return (seed + first * 0x9E3779B97F4A7C15) % 2**64


@part
def hashed(seed, index):
    """What `keep` compares with rate * 2^24, for compiled loops: uint64 numbers."""
    z = seed + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) >> np.uint64(40)


@kernel
def dropout(x, rate, seed):
    """Zero each element with probability `rate`, scale the others by 1 / (1 - rate).

    Which ones is decided by `keep(seed, position)`; the gradient is the same map applied to dy.
    """
    xp = array_module(x)
    kept = keep(xp, seed, xp.arange(x.size, dtype=xp.uint64), rate).reshape(x.shape)
    return xp.where(kept, x * x.dtype.type(1 / (1 - rate)), 0)


@dropout.version("numba")
def _dropout_numba(x, rate, seed):
    y = np.empty(x.shape, x.dtype)
    threshold, scale = np.uint64(int(rate * 2**24)), x.dtype.type(1 / (1 - rate))
    _dropout_loop(flat(x), threshold, np.uint64(seed), scale, y.reshape(-1))
    return y


@compiled
def _dropout_loop(x, threshold, seed, scale, y):
    for i in prange(x.size):
        y[i] = x[i] * scale if hashed(seed, np.uint64(i)) >= threshold else 0


# The CUDA versions: elementwise.cu.

_cuda = cuda.Source("elementwise.cu")


def _map(kernel, first, *rest):
    """`kernel` applied element by element to arrays of one shape, on the device."""
    arrays = [cuda.contiguous(array) for array in (first, *rest)]
    result = array_module(first).empty(first.shape, first.dtype)
    _cuda.each(kernel, first.size, *arrays, result)
    return result


@relu.version("cupy")
def _relu_cupy(x):
    return _map("relu", x)


@relu_gradient.version("cupy")
def _relu_gradient_cupy(y, dy):
    return _map("relu_gradient", y, dy)


@elu.version("cupy")
def _elu_cupy(x):
    return _map("elu", x)


@elu_gradient.version("cupy")
def _elu_gradient_cupy(y, dy):
    return _map("elu_gradient", y, dy)


@sigmoid.version("cupy")
def _sigmoid_cupy(x):
    return _map("sigmoid", x)


def _launch_gate(kernel, x, *arrays):
    """One block per row of x (..., 2C); raises `ValueError` for an odd number of channels."""
    rows, (channels, odd) = math.prod(x.shape[:-1]), divmod(x.shape[-1], 2)
    if odd:
        raise ValueError(f"a gate needs two halves, not {x.shape[-1]} channels")
    threads = cuda.blocks_of(min(max(channels, 1), cuda.THREADS), cuda.WARP) * cuda.WARP
    blocks = min(rows, cuda.MOST_BLOCKS)
    _cuda.launch(kernel, blocks, threads, cuda.contiguous(x), *arrays, np.int64(rows), channels)


@gate.version("cupy")
def _gate_cupy(x):
    y = array_module(x).empty((*x.shape[:-1], x.shape[-1] // 2), x.dtype)
    _launch_gate("gate", x, y)
    return y


@gate_gradient.version("cupy")
def _gate_gradient_cupy(x, dy):
    dx = array_module(x).empty(x.shape, x.dtype)
    _launch_gate("gate_gradient", x, cuda.contiguous(dy), dx)
    return dx


@dropout.version("cupy")
def _dropout_cupy(x, rate, seed):
    y = array_module(x).empty(x.shape, x.dtype)
    threshold, scale = np.uint64(int(rate * 2**24)), x.dtype.type(1 / (1 - rate))
    _cuda.each("dropout", x.size, cuda.contiguous(x), y, threshold, np.uint64(seed), scale)
    return y
