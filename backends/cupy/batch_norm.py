"""Sums over the rows, and batch normalisation, on a device: batch_norm.cu."""

import numpy as np

from backends import kernels
from backends.arrays import array_module, rows_of
from backends.cupy.engine import cuda, half
from backends.cupy.engine.columns import ACROSS, Columns, add_parts

_cuda = cuda.Source(__file__, ACROSS=ACROSS)


@kernels.sum_rows.version("cupy")
def sum_rows(x):
    cut = Columns(1, *x.shape)
    sums = cut.partial(x)
    cut.launch(_cuda, "part_sums", *half.parts(x), sums, dtype=x.dtype)
    return add_parts(sums)[0]


@kernels.factor_and_sum.version("cupy")
def factor_and_sum(x):
    if isinstance(x, half.Half) or not half.is_half(x.dtype):
        return x, sum_rows(x)
    cut = Columns(1, *x.shape)
    y, sums = half.empty(array_module(x), x.shape, x.dtype), cut.partial(x)
    arguments = (cuda.contiguous(x), *half.parts(y), sums)
    cut.launch(_cuda, "halves_and_part_sums", *arguments, dtype=x.dtype)
    return y, add_parts(sums)[0]


@kernels.add_biased.version("cupy")
def add_biased(x, y, bias):
    rows = rows_of(x)
    total = array_module(x).empty(x.shape, x.dtype)
    arguments = (cuda.contiguous(x), *half.parts(y), cuda.contiguous(bias), total)
    Columns(1, *rows.shape).launch(_cuda, "add_biased", *arguments, dtype=x.dtype)
    return total


@kernels.moments.version("cupy")
def moments(x):
    xp, (rows, channels) = array_module(x), x.shape
    cut = Columns(1, rows, channels)
    means, squares = (cut.partial(x) for _ in range(2))
    cut.launch(_cuda, "part_moments", cuda.contiguous(x), means, squares, dtype=x.dtype)
    mean, variance = (xp.empty(channels, x.dtype) for _ in range(2))
    sizes = (np.int64(rows), channels, cut.part_rows, cut.parts)
    blocks = cuda.blocks_of(channels, ACROSS)
    arrays = (means, squares, mean, variance)
    _cuda.launch("join_moments", blocks, (ACROSS, ACROSS), *arrays, *sizes)
    return mean, variance


def _arguments(x, mean, variance, scale, offset, epsilon, relu):
    arrays = [cuda.contiguous(array) for array in (x, mean, variance, scale, offset)]
    return *arrays, float(epsilon), int(relu)


@kernels.normalize.version("cupy")
def normalize(x, mean, variance, scale, offset, epsilon, relu):
    y = half.empty(array_module(x), x.shape, x.dtype)
    arguments = _arguments(x, mean, variance, scale, offset, epsilon, relu)
    Columns(1, *x.shape).launch(_cuda, "normalize", *arguments, *half.parts(y), dtype=x.dtype)
    return y


@kernels.normalize_parameter_gradient.version("cupy")
def normalize_parameter_gradient(x, mean, variance, scale, offset, epsilon, relu, dy):
    cut = Columns(1, *x.shape)
    sums = cut.partial(x, sums=2)
    arguments = _arguments(x, mean, variance, scale, offset, epsilon, relu)
    arguments = (*arguments, *half.parts(dy), sums)
    cut.launch(_cuda, "part_parameter_gradients", *arguments, dtype=x.dtype)
    d_offset, d_scale = add_parts(sums).reshape(2, -1)
    return d_scale, d_offset


@kernels.normalize_input_gradient.version("cupy")
def normalize_input_gradient(
    x, mean, variance, scale, offset, epsilon, relu, dy, d_scale, d_offset, count, onto=None
):
    dx = array_module(x).empty(x.shape, x.dtype)
    sums = (cuda.contiguous(d_offset), cuda.contiguous(d_scale), float(count))
    arguments = _arguments(x, mean, variance, scale, offset, epsilon, relu)
    arguments = (*arguments, *half.parts(dy), *sums, *cuda.optional(onto, dx), dx)
    Columns(1, *x.shape).launch(_cuda, "normalize_input_gradient", *arguments, dtype=x.dtype)
    return dx


@kernels.follow_moments.version("cupy")
def follow_moments(mean, variance, new_mean, new_variance, decay):
    arrays = (mean, variance, new_mean, new_variance)
    flat = [cuda.contiguous(array) for array in arrays]
    _cuda.each("follow_moments", mean.size, *flat, 1.0 - decay)
    for array, values in zip(arrays[:2], flat, strict=False):
        if not array.flags.c_contiguous:  # then `values` is a copy
            array[...] = values
