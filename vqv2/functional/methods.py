"""What can be typed on a tensor: operators, methods, and NumPy's functions.

    y = (np.exp(x) * 2 - 1).reshape(4, -1).mean(axis=0)     # recorded, as F.exp and the rest are

`Tensor` itself knows no operation; `add_methods` gives it those of the package. Comparisons give
arrays of truth values. An attribute that a tensor lacks is an `AttributeError`, and a function of
NumPy that would lose its gradient a `GradientError`, that names what to use instead.
"""

import numpy as np

from vqv2.autodiff import GradientError, Tensor
from vqv2.functional.arithmetic import (
    add,
    divide,
    exp,
    log,
    mean,
    multiply,
    power,
    sqrt,
    subtract,
    sum,
)
from vqv2.functional.linear import matmul
from vqv2.functional.shape import concatenate, index, reshape, transpose


def _powered(base, exponent):
    """base ** exponent. Raises `GradientError` for an exponent whose gradient would be lost."""
    if isinstance(exponent, Tensor) and exponent.requires_grad:
        raise GradientError(
            "an exponent has no gradient here: write F.exp(exponent * F.log(base)), for base > 0"
        )
    return power(base, exponent)


NUMPY = {
    np.add: add,
    np.subtract: subtract,
    np.multiply: multiply,
    np.divide: divide,
    np.power: _powered,
    np.negative: lambda x: multiply(x, -1),
    np.matmul: matmul,
    np.exp: exp,
    np.log: log,
    np.sqrt: sqrt,
    np.sum: sum,
    np.mean: mean,
    np.reshape: reshape,
    np.transpose: transpose,
    np.concatenate: lambda tensors, axis=0: concatenate(*tensors, axis=axis),
}
WITHOUT_GRADIENT = (  # shapes and truth values have none that could be lost
    *(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.isfinite, np.isnan, np.isinf, np.array_equal, np.allclose, np.argmax, np.argmin),
)
ELSEWHERE = {  # what other libraries call what is here
    "numpy": "tensor.array, its array",
    "data": "tensor.array, its array",
    "view": "tensor.reshape(...)",
    "permute": "tensor.transpose(...)",
    "matmul": "tensor @ other",
    "dot": "tensor @ other",
    "pow": "tensor ** exponent",
    "zero_grad": "tensor.grad = None, which Adam's step does by itself",
}


def _ufunc(self, function, method, *arguments, **settings):
    """NumPy's hook for its elementwise functions: np.exp(x), array + x, np.add.reduce(x)."""
    called = function if method == "__call__" else getattr(function, method)
    return _numpy(self, called, (), arguments, settings)


def _numpy(self, function, types, arguments, settings):
    """NumPy's hook for its functions: the operation here, or NumPy's own on arrays.

    Raises `GradientError` where that would lose a gradient.
    """
    if function in NUMPY and "out" not in settings:
        return NUMPY[function](*arguments, **settings)
    gradient_is_lost = function not in WITHOUT_GRADIENT

    def arrays(value):
        if isinstance(value, Tensor):
            if value.requires_grad and gradient_is_lost:
                raise GradientError(
                    f"numpy.{function.__name__} would lose the gradient of a tensor: see "
                    "vqv2.functional for what has one, write the operation with "
                    "vqv2.differentiable, or give tensor.array for its numbers alone"
                )
            return value.array
        return type(value)(map(arrays, value)) if isinstance(value, tuple | list) else value

    return function(*arrays(arguments), **{name: arrays(part) for name, part in settings.items()})


def _compared(name):
    """The comparison of that name: of arrays, and an array of truth values."""

    def compare(self, other):
        return getattr(self.array, name)(other.array if isinstance(other, Tensor) else other)

    return compare


def _in_place(operation):
    """x += y and the like: x becomes the result; a leaf would be no leaf any more."""

    def change(self, other):
        if self.requires_grad and self.node is None:
            raise GradientError(
                "a parameter cannot be replaced by a result in place, since the gradient would no "
                "longer reach it: change its array, as in tensor.array -= rate * tensor.grad"
            )
        return operation(self, other)

    return change


def _rows(self):
    """x[0], x[1], ... Raises `TypeError` for a single number."""
    return (index(self, i) for i in range(len(self)))


def _shaped(self, *shape):
    """x.reshape(4, -1) or x.reshape((4, -1))."""
    return reshape(self, shape=shape[0] if len(shape) == 1 else shape)


def _transposed(self, *axes):
    """x.transpose(1, 0), x.transpose((1, 0)), or x.transpose() to reverse all axes."""
    return transpose(self, axes=axes[0] if len(axes) == 1 else axes or None)


def _missing(operations):
    """What names, for an attribute that tensors lack, what to use instead."""

    def missing(self, name):
        advice = ""
        if name in ELSEWHERE:
            advice = f": use {ELSEWHERE[name]}"
        elif name in operations:
            advice = f": use vqv2.functional.{name}(tensor)"
        elif hasattr(np.ndarray, name) and not name.startswith("_"):
            advice = f": use tensor.array.{name}, which has no gradient, or see vqv2.functional"
        raise AttributeError(f"a tensor has no attribute {name!r}{advice}", name=name, obj=self)

    return missing


METHODS = {
    "__add__": add,
    "__radd__": lambda self, other: add(other, self),
    "__iadd__": _in_place(add),
    "__sub__": subtract,
    "__rsub__": lambda self, other: subtract(other, self),
    "__isub__": _in_place(subtract),
    "__mul__": multiply,
    "__rmul__": lambda self, other: multiply(other, self),
    "__imul__": _in_place(multiply),
    "__truediv__": divide,
    "__rtruediv__": lambda self, other: divide(other, self),
    "__itruediv__": _in_place(divide),
    "__matmul__": matmul,
    "__rmatmul__": lambda self, other: matmul(other, self),
    "__pow__": _powered,
    "__rpow__": lambda self, other: _powered(other, self),
    "__neg__": lambda self: multiply(self, -1),
    "__getitem__": index,
    "__iter__": _rows,
    "__float__": lambda self: float(self.array),
    "__int__": lambda self: int(self.array),
    "__bool__": lambda self: bool(self.array),
    **{f"__{name}__": _compared(f"__{name}__") for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "__array_ufunc__": _ufunc,
    "__array_function__": _numpy,
    "sum": sum,
    "mean": mean,
    "reshape": _shaped,
    "transpose": _transposed,
    "T": property(_transposed),
}


def add_methods(operations):
    """Give `Tensor` all of these; `operations` are the names in `vqv2.functional`."""
    for name, method in METHODS.items():
        setattr(Tensor, name, method)
    Tensor.__getattr__ = _missing(operations)
