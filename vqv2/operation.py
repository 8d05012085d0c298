"""Operations: plain functions of arrays that know their gradient, made to take tensors."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, overload

from backends.arrays import Array, widened
from vqv2.autodiff import GradientError, Tensor, record

Operand: TypeAlias = Tensor | Array | float  # what an operation takes; its function sees an array
Gradient: TypeAlias = Callable[..., Any]
Result: TypeAlias = tuple[Array, Gradient]  # what the function of an operation returns
Results: TypeAlias = tuple[tuple[Array, ...], Gradient]  # of one with several outputs
P = ParamSpec("P")


class _Watching:
    """Who sees every operation; changed only by `watched`."""

    watch = None


@contextlib.contextmanager
def watched(watch):
    """Context manager: inside, `watch` sees every operation, in both directions.

    It is called as watch(name, input arrays, output, gradient function) after each operation, and
    returns the gradient function to use. For tools that look for something (`vqv2.nn.finite`).
    """
    former, _Watching.watch = _Watching.watch, watch
    try:
        yield
    finally:
        _Watching.watch = former


@overload
def differentiable(function: Callable[P, Result]) -> Callable[P, Tensor]: ...


@overload
def differentiable(function: Callable[P, Results]) -> Callable[P, tuple[Tensor, ...]]: ...


@overload
def differentiable(*, halves: bool) -> Callable[[Callable[P, Any]], Callable[P, Any]]: ...


def differentiable(function: Any = None, *, halves: bool = False) -> Any:
    """Decorator: make a differentiable operation of a function of arrays.

    The function returns `(output, gradient)`. `gradient(cotangent)` returns one entry for each
    positional argument: its cotangent, or None for a constant, or a function without arguments
    that computes the cotangent, called only when it is needed. The last ones may be left out where
    they are constants, such as settings given by position. Broadcasting need not be undone.
    The arrays that it refers to are what the tape keeps of the operation until the backward pass:
    if only a shape is needed, let it refer to the shape.

        @differentiable
        def multiply(a, b):
            return a * b, lambda dy: (lambda: dy * b, lambda: dy * a)

    The operation takes tensors, arrays and numbers as positional arguments and returns a Tensor;
    keyword arguments are settings, passed on as they are. An operation with several outputs
    returns `((first, second, ...), gradient)`, and its gradient receives one cotangent for each
    output, None for one that did not matter. Raises `GradientError` when the function returns
    anything else.

    In half precision a device keeps in 16 bits what only products read. An operation that gives its
    arrays and cotangents to kernels that understand these says so, `@differentiable(halves=True)`;
    the others get float32.
    """
    if function is None:
        return functools.partial(differentiable, halves=halves)

    @functools.wraps(function)
    def operation(*arguments, **settings):
        arrays = [a.array if isinstance(a, Tensor) else a for a in arguments]
        if not halves:
            arrays = [widened(array) for array in arrays]
        output, gradient = _pair(function.__name__, function(*arrays, **settings))
        if not halves:
            gradient = _of_widened(gradient)
        if _Watching.watch is not None:
            gradient = _Watching.watch(function.__name__, arrays, output, gradient)
        return record(function.__name__, arguments, output, gradient)

    return operation


def _of_widened(gradient):
    return lambda *cotangents: gradient(*(widened(cotangent) for cotangent in cotangents))


def _pair(name, result):
    """What the function of an operation returned, if it is what it should."""
    several = isinstance(result, tuple)
    if several and len(result) == 2 and callable(result[1]):
        return result
    kinds = [type(value).__name__ for value in (result if several else (result,))]
    found = f"({', '.join(kinds)})" if several else kinds[0].replace("NoneType", "None")
    raise GradientError(
        f"'{name}' returned {found}: a differentiable operation must return two things, "
        "(output, gradient), where gradient(cotangent) is a function that returns one cotangent "
        "for each positional argument"
    )
