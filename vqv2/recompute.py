"""Activation recomputation: memory for time (Chen et al., 2016).

A segment of a model that is *recomputed* keeps its inputs only. When the backward pass comes to it,
it runs forward once more, this time recorded, and backward. Memory falls to that of one segment at
a time, for one more forward pass. A model decides it when it is built, `vqv2.nn.Module.recompute`;
its forward code knows nothing of it.
"""

import contextlib
import itertools

from backends import array_module
from backends.arrays import widened
from vqv2.autodiff import Tensor, enable_grad, is_recording, no_grad, record


class _Mode:
    """What is true while code runs; changed only by `_again`."""

    recomputing = False


def is_recomputing():
    """True while a segment runs for the second time, inside a backward pass.

    A layer that counts what it has seen (running statistics) asks this in order to count once.
    """
    return _Mode.recomputing


def recomputed(function, *inputs, parts=1, **settings):
    """function(*inputs, **settings), without keeping what its operations save for the gradient.

    `function` takes tensors and returns one; it must compute the same both times. It gets the
    `settings` as they are. The generator `rng` among them is put back for the second run.

    A function that treats every element along the first axis by itself may run on that many `parts`
    of a batch, one after the other: then one part is in memory at a time. Gradients of parameters
    are sums over parts, so that they differ from those of one run by rounding. Raises `ValueError`
    when inputs to be cut differ in length.
    """
    if not is_recording():
        return function(*inputs, **settings)
    rng = settings.get("rng")
    state = rng.bit_generator.state if rng is not None else None
    slices = _slices([len(i) for i in inputs], parts) if parts > 1 else [...]
    with no_grad():
        output = _joined(
            [widened(function(*_part(inputs, one), **settings).array) for one in slices]
        )

    def gradient(cotangent):
        gradients = []
        with _again(rng, state):
            for one in slices:
                copies = _part(inputs, one)
                result = function(*copies, **settings)
                if result.requires_grad:
                    result.backward(widened(cotangent)[one])
                gradients.append([copy.grad for copy in copies])
        return tuple(_joined(of_parts) for of_parts in zip(*gradients, strict=True))

    # Even when no input needs a gradient: parameters inside the function may.
    return record("recomputed", inputs, output, gradient, always=True)


@contextlib.contextmanager
def _again(rng, state):
    """Inside, operations are recorded, and `rng` stands at `state`; afterwards where it stood."""
    former, _Mode.recomputing = _Mode.recomputing, True
    now = None if rng is None else rng.bit_generator.state
    try:
        if rng is not None:
            rng.bit_generator.state = state
        with enable_grad():
            yield
    finally:
        _Mode.recomputing = former
        if rng is not None:
            rng.bit_generator.state = now


def _slices(lengths, parts):
    """`parts` slices of nearly equal length, fewer when there are fewer elements, at least one."""
    count = lengths[0]
    if any(length != count for length in lengths):
        raise ValueError(
            f"a recomputation in parts was given inputs of lengths {', '.join(map(str, lengths))}: "
            "all must be batches of one length"
        )
    parts = max(1, min(parts, count))
    bounds = [count * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(bounds)]


def _part(inputs, one):
    """Leaves that hold the slice `one` of every input."""
    return [Tensor(widened(i.array)[one], i.requires_grad) for i in inputs]


def _joined(arrays):
    """The parts of an array, or None where none was needed."""
    if len(arrays) == 1 or arrays[0] is None:
        return arrays[0]
    return array_module(arrays[0]).concatenate(arrays)
