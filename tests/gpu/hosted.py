"""CUDA versions of kernels behind host arrays, so that the tests of the other versions serve them.

hosted(kernel)(*host_arrays) -> host arrays
"""

import numpy as np

from backends import to_host
from backends.cupy.sampling_step import STRIP
from backends.reference.packing import pack, unpack
from tests.cases import CHANGED
from tests.cases.sampling_step import WEIGHTS


def hosted(kernel):
    """The cupy version of `kernel` as a function from host arrays to host arrays.

    Memory layouts are kept, but weights are laid out for a device. What the kernel changes in place
    is changed in the host arrays.
    """
    version = kernel.versions["cupy"]

    def function(*arguments):
        placed = [upload(a) if isinstance(a, np.ndarray) else a for a in arguments]
        for i, halves in WEIGHTS.get(kernel, {}).items():
            columns = arguments[i + 1].shape[2]  # of the offset, which goes with every product
            placed[i] = upload(pack(unpack(arguments[i], columns, halves), halves, STRIP))
        result = version(*placed)
        for i in CHANGED.get(kernel, ()):
            if arguments[i] is not None:
                arguments[i][...] = to_host(placed[i])
        if isinstance(result, tuple):
            return tuple(to_host(array) for array in result)
        return None if result is None else to_host(result)

    return function


def upload(array):
    """`array` on the device, in its memory layout: without gaps, transposed, or with gaps."""
    import cupy

    if array.flags.c_contiguous:
        return cupy.asarray(array)
    if array.flags.f_contiguous:
        return cupy.asarray(np.ascontiguousarray(array.T)).T
    wide = cupy.empty([2 * n for n in array.shape], array.dtype)
    view = wide[(slice(None, None, 2),) * array.ndim]
    view[...] = cupy.asarray(np.ascontiguousarray(array))
    return view
