"""`from vqv2.lab.bench.peer.framework import torch`: PyTorch, or one sentence on how to get it."""

from vqv2.errors import InputError

try:
    import torch
except ImportError:
    raise InputError(
        'the peer needs PyTorch, which is not installed: pip install -e ".[bench]"'
    ) from None

__all__ = ["torch"]
