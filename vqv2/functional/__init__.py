"""Every differentiable operation: its formula, its gradient, and nothing about the machine.

Operations take tensors, arrays or numbers and return tensors. Images and maps are (N, H, W, C).
Importing this package also gives `Tensor` its operators and methods (`methods`).
"""

from vqv2.functional.activation import dropout, elu, gate, gate_block, relu, sigmoid
from vqv2.functional.arithmetic import (
    add,
    add_biased,
    divide,
    exp,
    log,
    mean,
    multiply,
    power,
    sqrt,
    straight_through,
    subtract,
    sum,
)
from vqv2.functional.attention import causal_attention
from vqv2.functional.linear import causal_conv2d, conv2d, conv_transpose2d, linear, matmul
from vqv2.functional.loss import (
    cross_entropy,
    discretized_logistic_mixture,
    mean_squared_error,
)
from vqv2.functional.methods import add_methods
from vqv2.functional.normalization import batch_norm
from vqv2.functional.shape import concatenate, embedding, index, reshape, split, transpose, upsample

__all__ = [
    "add",
    "add_biased",
    "batch_norm",
    "causal_attention",
    "causal_conv2d",
    "concatenate",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "discretized_logistic_mixture",
    "divide",
    "dropout",
    "elu",
    "embedding",
    "exp",
    "gate",
    "gate_block",
    "index",
    "linear",
    "log",
    "matmul",
    "mean",
    "mean_squared_error",
    "multiply",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "split",
    "sqrt",
    "straight_through",
    "subtract",
    "sum",
    "transpose",
    "upsample",
]

add_methods(__all__)
