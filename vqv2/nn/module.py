"""The base of all layers and models: a plain object whose parameters can be listed by name."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from backends import Array, array_module, to_host
from backends.process.communication import Communicator, Single
from vqv2.autodiff import Tensor
from vqv2.errors import InputError
from vqv2.recompute import recomputed


class _Watching:
    """Who sees every call of a module; changed only by `watching`."""

    watches: tuple[Callable[..., Any], ...] = ()


@contextlib.contextmanager
def watching(watch: Callable[..., Any]):
    """Context manager: inside, `watch` sees every call of a module, of its parts too.

    watch(module, inputs, run) stands in the place of the call: `inputs` are its arguments without
    those that are named, run() computes what the module returns, and what `watch` returns is taken
    for that. Layers' names, their outputs, and where time goes are seen in this way; operations are
    seen by `vqv2.operation.watched`.
    """
    former, _Watching.watches = _Watching.watches, (*_Watching.watches, watch)
    try:
        yield
    finally:
        _Watching.watches = former


class Module:
    """Attributes that are tensors are parameters, arrays are buffers, modules are parts.

    Lists and dictionaries of modules count too. Names are the attributes' names joined by dots, in
    the order in which they were set: "encoder.convolutions.0.weight".

    A subclass computes in `forward`; calling the module runs that, and tells who is `watching`.

    `communicator` (`backends.process.communication`) says who shares a training batch with this
    process.
    """

    communicator: Communicator = Single()
    recomputed_parts = 0  # of a batch, in which `recompute` makes the backward pass compute again

    def __call__(self, *inputs, **settings):
        """`forward` of the same arguments."""
        if not self.recomputed_parts:
            return self._watched_forward(*inputs, **settings)
        parts = self.recomputed_parts
        return recomputed(self._watched_forward, *inputs, parts=parts, **settings)

    def _watched_forward(self, *inputs, **settings):
        run = functools.partial(self.forward, *inputs, **settings)
        for watch in _Watching.watches:
            run = functools.partial(watch, self, inputs, run)
        return run()

    def recompute(self, parts: int = 1) -> Self:
        """Keep only the inputs of a call, tensors, for the backward pass, which calls again; self.

        Everything else, such as `rng`, has to be passed by name. For `parts` see
        `vqv2.recompute.recomputed`.
        """
        self.recomputed_parts = parts
        return self

    def parameters(self) -> dict[str, Tensor]:
        """{name: Tensor} of everything that a gradient trains."""
        return {name: value for name, value in _walk(self) if isinstance(value, Tensor)}

    def buffers(self) -> dict[str, Array]:
        """{name: array} of everything else that is learned: codebooks, running statistics."""
        return {name: value for name, value in _walk(self) if not isinstance(value, Tensor)}

    def modules(self) -> dict[str, "Module"]:
        """{name: Module} of this one, called "", and of all its parts."""
        return dict(_named_modules(self, ""))

    def parameter_count(self) -> int:
        """Number of trained numbers, buffers not included."""
        return sum(parameter.size for parameter in self.parameters().values())

    def state(self) -> dict[str, np.ndarray]:
        """{name: NumPy array}, copied to the host, of parameters and buffers."""
        return {name: to_host(_array(value)).copy() for name, value in _walk(self)}

    def load_state(self, state: Mapping[str, Array], copy=True) -> None:
        """Take over the arrays of a `state`: exactly the same names and shapes.

        Without `copy` the given arrays become the parameters themselves, so that a large model is
        in memory once. Raises `InputError` naming what is missing, unexpected or of another shape;
        then nothing has been changed.
        """
        own = dict(_walk(self))
        _check_names(own, state)
        for name, value in own.items():
            if value.shape != state[name].shape:
                raise InputError(
                    f"{name} has shape {tuple(state[name].shape)} in the file but {value.shape} "
                    "in the model: the file belongs to another configuration"
                )
        for name, value in own.items():
            module = array_module(_array(value))  # some counters stay on the host
            given = module.asarray(np.asarray(state[name], dtype=value.dtype))
            if isinstance(value, Tensor):
                value.array = given.copy() if copy else given
            else:
                value[...] = given

    def cast(self, dtype: DTypeLike) -> Self:
        """Turn all floating-point parameters and buffers into `dtype`, in place; returns self."""
        for module in self.modules().values():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    value.array = value.array.astype(dtype)
                elif _is_array(value) and value.dtype.kind == "f":
                    setattr(module, name, value.astype(dtype))
        return self

    def distribute(self, communicator: Communicator) -> Self:
        """Train as one of several processes, each with an equal share of every batch; self.

        What looks at the whole batch (batch statistics, codebooks) then asks the others, and what
        is random (dropout, restarts) is as for the whole batch, in order of rank.
        """
        for module in self.modules().values():
            module.communicator = communicator
        return self

    def zero_gradients(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters().values():
            parameter.grad = None


def _is_array(value):
    return isinstance(value, np.ndarray | array_module().ndarray)


def _array(value):
    return value.array if isinstance(value, Tensor) else value


def _parts(value):
    """(name, part) of a module or container."""
    if isinstance(value, Module):
        return vars(value).items()
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    return ()


def _walk(value, prefix=""):
    """(dotted name, Tensor or array) of everything below `value`, in order."""
    for name, part in _parts(value):
        if isinstance(part, Tensor) or _is_array(part):
            yield f"{prefix}{name}", part
        else:
            yield from _walk(part, f"{prefix}{name}.")


def _named_modules(value, name):
    if isinstance(value, Module):
        yield name, value
    for part_name, part in _parts(value):
        if not isinstance(part, Tensor) and not _is_array(part):
            yield from _named_modules(part, f"{name}.{part_name}" if name else str(part_name))


def _check_names(own, given):
    missing = [name for name in own if name not in given]
    unexpected = [name for name in given if name not in own]
    if missing:
        raise InputError(f"{len(missing)} arrays are missing, the first is {missing[0]}")
    if unexpected:
        raise InputError(f"{len(unexpected)} arrays are unexpected, the first is {unexpected[0]}")
