"""Reverse-mode automatic differentiation: a tape that knows no operation.

A `Tensor` wraps an array. Every differentiable operation is a plain function of arrays that
returns its output and a function for its gradient (`vqv2.operation.differentiable` says how).
Calling one records a `Node` with the tensors it came from; `Tensor.backward` walks the nodes from a
result back to the leaves and sums up what each operation's gradient function says.

If y = f(x) and dL/dy is known (the *cotangent* of y), the gradient function of f returns dL/dx.
"""

import contextlib
from typing import NamedTuple

import numpy as np

from backends import array_module, kernels
from backends.arrays import widened
from vqv2.broadcasting import is_stretched, undo_broadcasting
from vqv2.tensor_methods import TensorMethods


class GradientError(RuntimeError):
    """A backward pass that cannot be done: no gradient, no tape, a used one, a wrong cotangent."""


class _Mode:
    """What is switched on while code runs; changed only by the context managers below."""

    recording = True


@contextlib.contextmanager
def _recording(value):
    former, _Mode.recording = _Mode.recording, value
    try:
        yield
    finally:
        _Mode.recording = former


def no_grad():
    """Context manager: operations inside are not recorded, which saves the tape's memory."""
    return _recording(False)


def enable_grad():
    """Context manager: operations inside are recorded, also where `no_grad` is around it."""
    return _recording(True)


def is_recording():
    """Whether operations are recorded here."""
    return _Mode.recording


class Output(NamedTuple):
    """One output of a recorded operation: where its cotangent has to go.

    Not its array: the tape keeps no more of the results on the way than gradient functions need.
    """

    node: "Node"
    output_index: int
    shape: tuple


class Node:
    """One recorded operation: its parents, and how to turn output cotangents into theirs.

    A parent is a leaf (`Tensor`), an `Output` of another node, or None for a constant. A node
    points to its parents only, never to its outputs, so a tape has no reference cycles and its
    memory is free the moment the last tensor that leads to it is.
    """

    __slots__ = ("__weakref__", "gradient", "name", "outputs", "parents")

    def __init__(self, name, parents, gradient, outputs):
        self.name = name
        self.parents = parents
        self.gradient = gradient
        self.outputs = outputs

    def parent_cotangents(self, cotangents):
        """Yield (parent, cotangent) for every parent on the tape; frees what the node saved."""
        if self.gradient is None:
            raise GradientError(
                f"backward went through '{self.name}' a second time, but its saved values were "
                "freed by the first: run the forward computation again"
            )
        gradients = self.gradient(*cotangents)
        parents, self.gradient, self.parents = self.parents, None, ()
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        left_out = parents[len(gradients) :]
        if len(gradients) > len(parents) or any(parent is not None for parent in left_out):
            raise GradientError(
                f"the gradient of '{self.name}' gives {len(gradients)} cotangents for "
                f"{len(parents)} inputs: return a tuple with one for each, None where there is none"
            )
        for parent, cotangent in zip(parents, gradients, strict=False):
            if parent is None or cotangent is None:
                continue
            value = cotangent() if callable(cotangent) else cotangent
            shape = getattr(value, "shape", ())  # a number has none; it may be a device's array
            if not is_stretched(shape, parent.shape):
                raise GradientError(
                    f"the gradient of '{self.name}' gives a cotangent of shape {shape} "
                    f"for an input of shape {parent.shape}: it must have that shape"
                )
            yield parent, undo_broadcasting(value, parent.shape)


class Tensor(TensorMethods):
    """An array that may be a leaf to differentiate by, or the result of recorded operations.

    array          the NumPy or CuPy array, of any shape; read it freely
    requires_grad  true for parameters and for floating-point numbers computed from one
    grad           after `backward`: dL/d(array) for leaves, same shape and dtype; None before

    Its operators and methods, such as `x * 2` and `x.sum(axis=0)`, are those of
    `vqv2.functional.methods`. NumPy may read a constant as an array, but nothing that has a
    gradient, which would be lost there. Raises `GradientError` for whole numbers that shall have
    one, as a small step of them is none, and `TypeError` for what is no array of numbers.
    """

    __slots__ = ("__weakref__", "array", "grad", "node", "output_index", "requires_grad")

    def __init__(self, array, requires_grad=False):
        if isinstance(array, Tensor):
            raise TypeError("this is a tensor already: use it as it is, or tensor.detach()")
        self.array = array if hasattr(array, "dtype") else np.asarray(array)
        if self.array.dtype.kind in "OSU":
            raise TypeError(f"a tensor holds numbers, but this is an array of {self.array.dtype}")
        if requires_grad and not _is_floating(self.array):
            raise GradientError(
                f"a tensor of {self.array.dtype} cannot require a gradient: give it floating-point "
                "numbers, such as array.astype(numpy.float32)"
            )
        self.requires_grad = requires_grad
        self.grad = None
        self.node = None
        self.output_index = 0

    shape = property(lambda self: self.array.shape, doc="The array's shape.")
    dtype = property(lambda self: self.array.dtype, doc="The array's dtype.")
    ndim = property(lambda self: self.array.ndim, doc="The array's number of axes.")
    size = property(lambda self: self.array.size, doc="The array's number of elements.")

    def __len__(self):
        return len(self.array)

    def __array__(self, dtype=None, copy=None):
        """What `numpy.asarray` makes of a constant. Raises `GradientError` for anything else."""
        if self.requires_grad:
            raise GradientError(
                "a tensor that has a gradient was given to NumPy, which would lose it: use "
                "vqv2.functional, or tensor.array for its numbers alone"
            )
        return np.array(self.array, dtype, copy=copy)

    def __repr__(self):
        source = f", from '{self.node.name}'" if self.node else ""
        return f"Tensor({self.shape}, {self.dtype}{source})\n{self.array}"

    def item(self):
        """The only element, as a Python number. Raises `ValueError` when there are several."""
        return self.array.item()

    def detach(self):
        """The same array as a constant, off the tape."""
        return Tensor(self.array)

    def backward(self, cotangent=None):
        """Add dL/d(leaf) to the `grad` of every leaf that this tensor was computed from.

        `cotangent` is dL/d(self), an array of this tensor's shape; it may be left out for a single
        number, where it is 1. Frees the tape as it goes. Raises `GradientError`.
        """
        if not self.requires_grad:
            raise GradientError("backward on a tensor that depends on nothing with requires_grad")
        xp = array_module(self.array)
        if cotangent is None:
            if self.size != 1:
                raise GradientError(
                    f"backward on shape {self.shape} needs a cotangent: make one number of the "
                    "tensor first, as in tensor.mean().backward(), or give dL/d(tensor), an array "
                    "of that shape"
                )
            cotangent = xp.ones_like(self.array)
        cotangent = xp.asarray(cotangent, self.dtype)
        if cotangent.shape != self.shape:
            raise GradientError(f"a cotangent of shape {cotangent.shape} for shape {self.shape}")
        _backward(self, cotangent)


def _backward(root, cotangent):
    """Pass cotangents from `root` down to the leaves, node by node in `backward_order`."""
    pending = {}  # {node: [what has arrived for each of its outputs]}
    _deliver(root, cotangent, pending)
    for node in backward_order(root.node) if root.node else ():
        arrived = pending.pop(node, None)
        for parent, value in node.parent_cotangents(arrived) if arrived else ():
            _deliver(parent, value, pending)


def backward_order(root):
    """Yield `root` and every node that it leads to, each after all that were computed from it.

    By then all that arrives at a node has arrived. This is the order of the backward pass:

        for node in backward_order(loss.node):
            print(node.name)
    """
    waiting, ready = _count_children(root), [root]
    while ready:
        node = ready.pop()
        nodes = _parent_nodes(node)  # before the backward pass makes the node forget them
        yield node
        for parent in nodes:
            waiting[parent] -= 1
            if waiting[parent] == 0:
                ready.append(parent)


def _count_children(root):
    """For every node that `root` leads to: how many times it is a parent."""
    counts, stack = {root: 0}, [root]
    while stack:
        for parent in _parent_nodes(stack.pop()):
            if parent not in counts:
                counts[parent] = 0
                stack.append(parent)
            counts[parent] += 1
    return counts


def _parent_nodes(node):
    """The nodes among a node's parents, one for each use; leaves and constants have none."""
    return [parent.node for parent in node.parents if parent is not None and parent.node]


def _deliver(parent, cotangent, pending):
    if parent.node is None:  # a leaf; beside float64 constants its cotangent may be of that dtype
        cotangent = widened(cotangent).astype(parent.dtype, copy=False)
        parent.grad = cotangent if parent.grad is None else kernels.add(parent.grad, cotangent)
        return
    slots = pending.setdefault(parent.node, [None] * parent.node.outputs)
    former = slots[parent.output_index]
    # Out of place: an array that an operation returned may be one that somebody else still holds.
    both = cotangent if former is None else kernels.add(widened(former), widened(cotangent))
    slots[parent.output_index] = both


def record(name, inputs, output, gradient, always=False):
    """The output or outputs, arrays, as tensors; with a new `Node` where an input needs one.

    What `vqv2.operation.differentiable` does with every operation. `always`: also where no input
    needs it, for what reaches parameters that are not among its inputs.
    """
    parents = tuple(_parent(i) if isinstance(i, Tensor) else None for i in inputs)
    outputs, node = output if isinstance(output, tuple) else (output,), None
    if _Mode.recording and (always or any(parent is not None for parent in parents)):
        node = Node(name, parents, gradient, len(outputs))
    tensors = tuple(_tensor(array, node, i) for i, array in enumerate(outputs))
    return tensors if isinstance(output, tuple) else tensors[0]


def _parent(tensor):
    """What a node points to for a tensor that it was given."""
    if not tensor.requires_grad:
        return None
    if tensor.node is None:
        return tensor
    return Output(tensor.node, tensor.output_index, tensor.shape)


def _tensor(array, node, index):
    tensor = Tensor(array)
    if node is not None and _is_floating(tensor.array):  # whole ones are constants, such as codes
        tensor.requires_grad, tensor.node, tensor.output_index = True, node, index
    return tensor


def _is_floating(array):
    return array.dtype.kind == "f"
