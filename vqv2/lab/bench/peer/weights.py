"""Our weights in the peer's layout, and the peer's gradients in ours."""

import numpy as np

from vqv2.lab.bench.peer.framework import torch
from vqv2.lab.bench.peer.layers import MaskedConv2d

_LEAVES = {"table": "weight", "scale": "weight", "offset": "bias"}


def load(model, state):
    """Fill a peer's model from {our name: array}; its modules carry our names.

    Only what both have: our running statistics of training (steps, restarts) are left out.
    Raises `KeyError` when a weight of the peer stays unfilled.
    """
    unfilled = set(dict(model.named_parameters()))
    for name, array in state.items():
        peer_name = translate(name)
        module, _, leaf = peer_name.rpartition(".")
        module = model.get_submodule(module)
        target = getattr(module, leaf, None)
        if isinstance(target, torch.Tensor) and not _is_statistic(name):
            target.data.copy_(torch.from_numpy(to_peer(module, leaf, array)))
            unfilled.discard(peer_name)
    if unfilled:
        raise KeyError(f"not filled: {sorted(unfilled)}")


def gradients(model, names):
    """{our name: the peer's gradient in our layout} for our parameters `names` {name: shape}."""
    found = {}
    for name, shape in names.items():
        module, _, leaf = translate(name).rpartition(".")
        module = model.get_submodule(module)
        found[name] = from_peer(module, leaf, getattr(module, leaf).grad.numpy(), shape)
    return found


def translate(name):
    """Our dotted name -> the peer's."""
    path, _, leaf = name.rpartition(".")
    return f"{path}.{_LEAVES.get(leaf, leaf)}"


def _is_statistic(name):
    return name.endswith((".mean", ".variance", ".steps", ".counts", ".sums"))


def to_peer(module, leaf, array):
    """(k, k, C, D) -> (D, C, k, k); taps (T, C, D) -> (D, C, k, k) with zeros; (C, D) -> 1x1."""
    if leaf != "weight" or not hasattr(module, "kernel_size"):
        return np.ascontiguousarray(array)
    if isinstance(module, MaskedConv2d):
        size = module.kernel_size[0]
        full = np.zeros((size**2, *array.shape[1:]), array.dtype)
        full[: len(array)] = array
        array = full.reshape(size, size, *array.shape[1:])
    elif array.ndim == 2:
        array = array[None, None]
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1))


def from_peer(module, leaf, array, shape):
    """The inverse of `to_peer`, to our `shape`."""
    if leaf != "weight" or not hasattr(module, "kernel_size"):
        return array
    array = array.transpose(2, 3, 1, 0)
    if isinstance(module, MaskedConv2d):
        return array.reshape(-1, *array.shape[2:])[: shape[0]]
    return array.reshape(shape)
