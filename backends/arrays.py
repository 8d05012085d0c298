"""The only place where arrays move between host and device, and where their kind is told apart."""

import math
import sys
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from backends.kernel import current, modules_of_arrays, on_device

Array: TypeAlias = np.ndarray  # or a device's, such as cupy.ndarray, which has the same methods


def array_module(array: Any = None) -> ModuleType:
    """The module that owns `array`: `numpy`, `cupy`, or that of a backend of one's own.

    Without an array, the selected backend's.
    """
    if array is None:
        return _selected() if on_device() else np
    if is_rounded(array):
        array = array.bits
    for module in (sys.modules.get("cupy"), *modules_of_arrays.values()):
        if module is not None and isinstance(array, module.ndarray):
            return module
    return np


def _selected():
    if current() in modules_of_arrays:
        return modules_of_arrays[current()]
    import cupy  # only where it is computed with

    return cupy


def rows_of(array):
    """(..., C) as (rows, C); C may be 0."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def is_rounded(array):
    """Whether `array` is held in 16 bits, for products (`cupy/engine/half.py`)."""
    return hasattr(array, "widened")


def widened(array):
    """`array`, or as float32 what is held in 16 bits for products (`cupy/engine/half.py`)."""
    return array.widened() if is_rounded(array) else array


def to_host(array: Array) -> np.ndarray:
    """A NumPy array with the contents of `array`; the same object when it is one already."""
    array = widened(array)
    module = array_module(array)
    return np.asarray(array) if module is np else module.asnumpy(array)


def to_device(array: Array, dtype: DTypeLike | None = None) -> Array:
    """`array` where the selected backend computes, as `dtype` (default: unchanged)."""
    return array_module().asarray(array, dtype=dtype)
