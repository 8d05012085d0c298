"""Arrays without numbers, and the device that they are on.

Shapes, dtypes and memory layouts are NumPy's own, worked out on arrays with no memory behind their
addresses, whose elements nobody reads. What allocates, copies or computes notes what it moves.
"""

import math
import operator
import types

import numpy as np

from backends.shapes.launch import TRANSFERS, Launch, unique_bytes
from backends.shapes.pool import Pool

_ELEMENT = np.zeros(1)  # what each array's first element is


class _Layout:
    """What NumPy takes for an array that begins at `_ELEMENT`, however long it is."""

    def __init__(self, shape, dtype):
        place = {"data": (_ELEMENT.ctypes.data, True), "version": 3}
        self.__array_interface__ = {"shape": shape, "typestr": dtype.str, **place}


class Device:
    """What has been launched and allocated."""

    def __init__(self):
        self.launches = []
        self.pool = Pool()

    def forget(self):
        """Start anew with the launches and the most memory."""
        self.launches.clear()
        self.pool.forget_peaks()


class Selected:
    """The device that counts at the moment, or None."""

    device = None


def note(family, name, read, written, operations=0):
    """Write down that the device was asked for something (`Launch`)."""
    launch = Launch(family, name, read, written, operations)
    Selected.device.launches.append(launch)


class _Held:
    """Memory that is given back when the last array in it is gone."""

    __slots__ = ("block", "pool")

    def __init__(self, size):
        self.pool = Selected.device.pool
        self.block = None
        self.block = self.pool.take(size)

    def __del__(self):
        if self.block is not None:
            self.pool.give(self.block)


def new(shape, dtype=float):
    """A fresh array."""
    shape = shape if isinstance(shape, tuple | list) else (shape,)
    layout = np.asarray(_Layout(tuple(int(n) for n in shape), np.dtype(dtype)))
    return ndarray(layout, _Held(layout.nbytes))


def copied(array, name, dtype=None):
    """A fresh array for a copy that is noted by its name."""
    made = new(array.shape, dtype or array.dtype)
    note("copies", name, unique_bytes(array), made.nbytes)
    return made


class ndarray:  # noqa: N801  (cupy's name)
    """A shape, a dtype and a layout (`_layout`, an array of NumPy's) in memory of the pool's."""

    __slots__ = ("__weakref__", "_held", "_layout")
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, layout, held):
        self._layout, self._held = layout, held

    def _view(self, layout):
        return ndarray(layout, self._held)

    T = property(lambda self: self._view(self._layout.T))
    data = property(lambda self: types.SimpleNamespace(ptr=4096))

    def __len__(self):
        return len(self._layout)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("an array of a device becomes one of NumPy only where that is asked for")

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # Views and copies.

    def view(self, dtype=None):
        """The same memory, as another dtype."""
        return self._view(self._layout.view(dtype))

    def transpose(self, *axes):
        """A view with its axes in another order."""
        return self._view(self._layout.transpose(*axes))

    def swapaxes(self, a, b):
        """A view with two axes exchanged."""
        return self._view(self._layout.swapaxes(a, b))

    def reshape(self, *shape):
        """A view where the layout allows it, else a copy."""
        shape = shape[0] if isinstance(shape[0], tuple | list) else shape
        shape = _completed(tuple(int(n) for n in shape), self.size)
        try:
            return self._view(np.reshape(self._layout, shape, copy=False))
        except ValueError:  # the layout does not allow it
            return copied(self, "reshape").reshape(shape)

    def ravel(self):
        """One axis."""
        return self.reshape(-1)

    def copy(self):
        """A copy without gaps."""
        return copied(self, "copy")

    def astype(self, dtype, copy=True):
        """A copy of another dtype, or the same array."""
        same = np.dtype(dtype) == self.dtype and not copy
        return self if same else copied(self, "astype", dtype)

    def __getitem__(self, key):
        if any(isinstance(part, ndarray) for part in _parts(key)):
            return self._gathered(_parts(key))
        return self._view(self._part(key))

    def _part(self, key):
        """The layout of a part, also of a single number."""
        return self._layout[key if Ellipsis in _parts(key) else (*_parts(key), ...)]

    def _gathered(self, key):
        """As NumPy places the axes of index arrays that stand side by side: where the first is."""
        first = next(i for i, part in enumerate(key) if isinstance(part, ndarray))
        indices = [part.shape for part in key if isinstance(part, ndarray)]
        one = self._part(tuple(0 if isinstance(part, ndarray) else part for part in key)).shape
        leading = sum(isinstance(part, slice) for part in key[:first])
        found = np.broadcast_shapes(*indices)
        made = new((*one[:leading], *found, *one[leading:]), self.dtype)
        note("gathers", "take", made.nbytes, made.nbytes)
        return made

    def __setitem__(self, key, value):
        if any(isinstance(part, ndarray) for part in _parts(key)):
            note("gathers", "put", unique_bytes(value), unique_bytes(value))
            return
        target = self._part(key)
        read = unique_bytes(value) if isinstance(value, ndarray) else 0
        note("copies", "assign", read, target.nbytes)

    # Numbers, all of them zero.

    def get(self):
        """Zeros on the host."""
        note(TRANSFERS, "to the host", self.nbytes, 0)
        return np.zeros(self.shape, self.dtype)

    def item(self):
        """Zero."""
        return self.get().reshape(-1)[0].item()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    # Arithmetic.

    def _reduce(self, name, axis=None, dtype=None, out=None, keepdims=False):
        axes = range(self.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        axes = {a % self.ndim for a in axes}
        lengths = enumerate(self.shape)
        shape = tuple(1 if i in axes else n for i, n in lengths if keepdims or i not in axes)
        made = new(shape, dtype or _reduced_dtype(name, self.dtype)) if out is None else out
        note("reductions", name, unique_bytes(self), made.nbytes)
        return made

    def __matmul__(self, other):
        return matmul(self, other)


def _attribute(name):
    return property(operator.attrgetter(f"_layout.{name}"))


for _name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags"):
    setattr(ndarray, _name, _attribute(_name))


def _parts(key):
    return key if isinstance(key, tuple) else (key,)


def _completed(shape, size):
    known = math.prod(n for n in shape if n != -1)
    return tuple(size // max(1, known) if n == -1 else n for n in shape)


REDUCTIONS = ("sum", "mean", "var", "max", "min", "any", "all", "argmax", "prod")


def _reduced_dtype(name, dtype):
    if name in ("any", "all"):
        return np.dtype(bool)
    return np.dtype(np.int64) if name == "argmax" or dtype.kind == "b" else dtype


def _reduction(name):
    def reduce(self, axis=None, dtype=None, out=None, keepdims=False):
        return self._reduce(name, axis, dtype, out, keepdims)

    return reduce


for _name in REDUCTIONS:
    setattr(ndarray, _name, _reduction(_name))


def elementwise(function, arguments, out=None):
    """One of CuPy's elementwise kernels, slower where shapes differ or arrays have gaps."""
    arrays = [a for a in arguments if isinstance(a, ndarray)]
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    samples = [np.empty(0, a.dtype) if isinstance(a, ndarray) else a for a in arguments]
    result = new(shape, function(*samples).dtype) if out is None else out
    plain = all(a.flags.c_contiguous and a.shape in (shape, ()) for a in arrays)
    family = "elementwise, CuPy" if plain else "elementwise, CuPy, broadcast"
    note(family, function.__name__, sum(map(unique_bytes, arrays)), result.nbytes)
    return result


def _operator(function, turned=False, in_place=False):
    def operate(self, other):
        if not isinstance(other, ndarray | int | float | bool | np.generic):
            return NotImplemented
        pair = (other, self) if turned else (self, other)
        return elementwise(function, pair, self if in_place else None)

    return operate


_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
    "floordiv": np.floor_divide, "mod": np.mod, "pow": np.power, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}  # fmt: skip
_COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
_UNARY = {"neg": np.negative, "invert": np.invert, "abs": np.abs}

for _name, _function in _BINARY.items():
    setattr(ndarray, f"__{_name}__", _operator(_function))
    setattr(ndarray, f"__r{_name}__", _operator(_function, turned=True))
    setattr(ndarray, f"__i{_name}__", _operator(_function, in_place=True))
for _name, _function in _COMPARISONS.items():
    setattr(ndarray, f"__{_name}__", _operator(_function))
for _name, _function in _UNARY.items():
    setattr(ndarray, f"__{_name}__", lambda self, _f=_function: elementwise(_f, (self,)))


def matmul(a, b, out=None):
    """`cupy.matmul` of two matrices."""
    (rows, inner), columns = a.shape, b.shape[1]
    for factor in (a, b):
        if not (factor.flags.c_contiguous or factor.flags.f_contiguous):
            copied(factor, "factor of a product")
    made = new((rows, columns), np.result_type(a.dtype, b.dtype)) if out is None else out
    note_product(rows, columns, inner, a.itemsize, made.itemsize)
    return made


def note_product(rows, columns, inner, factor_size, size, adds=False):
    """Write down a product (rows, inner) (inner, columns), perhaps added to what was there."""
    written = rows * columns * size
    read = (rows + columns) * inner * factor_size + adds * written
    note("products", "product", read, written, 2 * rows * columns * inner)
