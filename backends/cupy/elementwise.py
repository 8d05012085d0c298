"""Elementwise work on a device: elementwise.cu."""

import math

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda
from backends.reference.elementwise import dropout_numbers

_cuda = cuda.Source(__file__)


def _map(kernel, first, *rest):
    """`kernel` applied element by element to arrays of one shape, on the device."""
    arrays = [cuda.contiguous(array) for array in (first, *rest)]
    result = array_module(first).empty(first.shape, first.dtype)
    _cuda.each(kernel, first.size, *arrays, result)
    return result


@kernels.relu.version("cupy")
def relu(x):
    return _map("relu", x)


@kernels.relu_gradient.version("cupy")
def relu_gradient(y, dy):
    return _map("relu_gradient", y, dy)


@kernels.elu.version("cupy")
def elu(x):
    return _map("elu", x)


@kernels.elu_gradient.version("cupy")
def elu_gradient(y, dy):
    return _map("elu_gradient", y, dy)


@kernels.sigmoid.version("cupy")
def sigmoid(x):
    return _map("sigmoid", x)


def _launch_gate(kernel, x, *arrays):
    """One block per row of x (..., 2C); raises `ValueError` for an odd number of channels."""
    rows, (channels, odd) = math.prod(x.shape[:-1]), divmod(x.shape[-1], 2)
    if odd:
        raise ValueError(f"a gate needs two halves, not {x.shape[-1]} channels")
    threads = cuda.blocks_of(min(max(channels, 1), cuda.THREADS), cuda.WARP) * cuda.WARP
    blocks = min(rows, cuda.MOST_BLOCKS)
    _cuda.launch(kernel, blocks, threads, cuda.contiguous(x), *arrays, np.int64(rows), channels)


@kernels.gate.version("cupy")
def gate(x):
    y = array_module(x).empty((*x.shape[:-1], x.shape[-1] // 2), x.dtype)
    _launch_gate("gate", x, y)
    return y


@kernels.gate_gradient.version("cupy")
def gate_gradient(x, dy):
    dx = array_module(x).empty(x.shape, x.dtype)
    _launch_gate("gate_gradient", x, cuda.contiguous(dy), dx)
    return dx


@kernels.dropout.version("cupy")
def dropout(x, rate, seed):
    y = array_module(x).empty(x.shape, x.dtype)
    _cuda.each("dropout", x.size, cuda.contiguous(x), y, *dropout_numbers(rate, seed, x.dtype))
    return y
