"""Layers: modules that own their parameters and call `vqv2.functional`.

A call without `rng` evaluates; a call with a generator trains: dropout drops, batch normalisation
uses the batch and updates its running statistics. There is no mode to forget to switch.
"""

from vqv2.nn.attention import AttentionBlock
from vqv2.nn.conditioning import ConditioningStack
from vqv2.nn.layers import BatchNorm, CausalConv2d, Conv2d, ConvTranspose2d, Embedding, Linear
from vqv2.nn.module import Module
from vqv2.nn.residual import GatedResidual, OutputStack, ResidualStack

__all__ = [
    "AttentionBlock",
    "BatchNorm",
    "CausalConv2d",
    "ConditioningStack",
    "Conv2d",
    "ConvTranspose2d",
    "Embedding",
    "GatedResidual",
    "Linear",
    "Module",
    "OutputStack",
    "ResidualStack",
]
