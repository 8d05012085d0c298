"""Elementwise work on a device: elementwise.cu."""

import math

import numpy as np

from backends import kernels
from backends.arrays import array_module
from backends.cupy.engine import cuda, half
from backends.cupy.engine.columns import Columns, add_parts
from backends.reference.elementwise import dropout_numbers

_cuda = cuda.Source(__file__)


def _activate(kernel, x):
    """`kernel` applied element by element; in half precision a `Half`, for products to read."""
    y = half.empty(array_module(x), x.shape, x.dtype)
    _cuda.each(kernel, x.size, *half.parts(x), *half.parts(y), dtype=x.dtype)
    return y


def _activate_gradient(kernel, y, dy, onto):
    dx = array_module(y).empty(y.shape, y.dtype)
    arguments = (*half.parts(y), *half.parts(dy), *cuda.optional(onto, dx), dx)
    _cuda.each(kernel, y.size, *arguments, dtype=y.dtype)
    return dx


@kernels.relu.version("cupy")
def relu(x):
    return _activate("relu", x)


@kernels.relu_gradient.version("cupy")
def relu_gradient(y, dy, onto=None):
    return _activate_gradient("relu_gradient", y, dy, onto)


@kernels.elu.version("cupy")
def elu(x):
    return _activate("elu", x)


@kernels.elu_gradient.version("cupy")
def elu_gradient(y, dy, onto=None):
    return _activate_gradient("elu_gradient", y, dy, onto)


def _activate_biased(kernel, x, bias):
    y = half.empty(array_module(x), x.shape, x.dtype)
    arguments = (*half.parts(x), cuda.contiguous(bias), *half.parts(y))
    _columns(x).launch(_cuda, kernel, *arguments, dtype=x.dtype)
    return y


def _activate_biased_gradient(kernel, y, dy):
    cut = _columns(y)
    dx, sums = half.empty(array_module(y), y.shape, y.dtype), cut.partial(y)
    arguments = (*half.parts(y), *half.parts(dy), *half.parts(dx), sums)
    cut.launch(_cuda, kernel, *arguments, dtype=y.dtype)
    return dx, add_parts(sums)[0]


def _columns(x):
    """The rows of x, of any shape, in parts."""
    return Columns(1, math.prod(x.shape[:-1]), x.shape[-1])


@kernels.biased_relu.version("cupy")
def biased_relu(x, bias):
    return _activate_biased("biased_relu", x, bias)


@kernels.biased_relu_gradient.version("cupy")
def biased_relu_gradient(y, dy):
    return _activate_biased_gradient("biased_relu_gradient", y, dy)


@kernels.biased_elu.version("cupy")
def biased_elu(x, bias):
    return _activate_biased("biased_elu", x, bias)


@kernels.biased_elu_gradient.version("cupy")
def biased_elu_gradient(y, dy):
    return _activate_biased_gradient("biased_elu_gradient", y, dy)


@kernels.sigmoid.version("cupy")
def sigmoid(x):
    y = array_module(x).empty(x.shape, x.dtype)
    _cuda.each("sigmoid", x.size, cuda.contiguous(x), y)
    return y


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


@kernels.gate_block.version("cupy")
def gate_block(x, features, bias, condition, label, rate, seed):
    xp = array_module(x)
    inside = half.empty(xp, features.shape, features.dtype)
    y = xp.empty(x.shape, x.dtype)
    given = bias if condition is None else condition
    _positions(x).launch(
        _cuda,
        "gate_block",
        *(cuda.contiguous(x), *half.parts(features), cuda.contiguous(bias)),
        *(*half.parts(given), int(condition is not None), *cuda.optional(label, bias)),
        *(*dropout_numbers(rate, seed, x.dtype), *half.parts(inside), y),
        dtype=x.dtype,
    )
    return y, inside


@kernels.gate_block_gradient.version("cupy")
def gate_block_gradient(inside, dy, rate, seed):
    cut = _positions(dy)
    d_inside = half.empty(array_module(inside), inside.shape, inside.dtype)
    sums = cut.partial(inside, sums=2)
    numbers = dropout_numbers(rate, seed, inside.dtype)
    arguments = (*half.parts(inside), *half.parts(dy), *numbers, *half.parts(d_inside), sums)
    cut.launch(_cuda, "gate_block_gradient", *arguments, dtype=inside.dtype)
    d_label = add_parts(sums)
    return d_inside, add_parts(d_label[None])[0], d_label


def _positions(x):
    """The positions of maps x (N, H, W, C), those of each by themselves, in parts."""
    count, height, width, channels = x.shape
    return Columns(count, height * width, channels)
