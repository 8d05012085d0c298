"""The layers of a prior at one position on a device: sampling_step.cu and sample.cu.

All of it may be recorded as a CUDA graph: nothing is allocated, and no product is cuBLAS's.
"""

import numpy as np

from backends import kernels
from backends.cupy import sample
from backends.cupy.engine import cuda
from backends.reference.packing import BLOCK

# A block of THREADS threads takes ROWS rows of x and SLICE columns of w. So it reads w in pieces of
# 64 bytes, or 32 of bfloat16 and for a gate: a device reads no fewer than 32 at once.
ROWS, SLICE, THREADS = 8, 16, 512
source = cuda.Source(__file__, BLOCK=BLOCK, SLICE=SLICE, THREADS=THREADS)


@kernels.affine_at.version("cupy")
def affine_at(where, size, row, w, offset, y, following):
    _launch_affine(where, size, row, w, offset, y, following)


@kernels.gated_at.version("cupy")
def gated_at(where, size, x, row, w, offset, inner, inner_w, inner_offset, following):
    _launch_affine(where, size, row, w, offset, None, inner)
    arrays = (inner_offset, x, following)
    _launch_product(
        "affine_gate_at", where, size, inner, inner_w, arrays, x.shape[1], _place(following, size)
    )


@kernels.attend_at.version("cupy")
def attend_at(where, size, x, w, offset, projected, past, joined):
    images, _, heads, length, width = past.shape
    _launch_affine(where, size, x, w, offset, projected, None)
    shared = (length + THREADS) * x.dtype.itemsize
    sizes = (heads, length, width, x.shape[1], 1 / width**0.5)
    arrays = (projected, past, joined, where)
    source.launch("attend_at", images * heads, THREADS, *arrays, *sizes, shared=shared)


@kernels.sample_at.version("cupy")
def sample_at(where, logits, seeds, codes, temperature, top_k, top_p, kept, weights, dropped):
    rows, count = logits.shape
    settings = sample.settings(temperature, top_k, top_p)
    arrays = (logits, seeds, kept, weights, dropped, codes, where)
    sizes = (codes.shape[1], count)
    sample.source.launch("sample_codes_at", rows, cuda.THREADS, *arrays, *sizes, *settings)


@kernels.embed_at.version("cupy")
def embed_at(where, size, codes, table, row):
    images, positions = codes.shape
    sizes = (size, positions, table.shape[1], *_place(row, size))
    source.launch("embed_at", images, cuda.THREADS, table, codes, row, where, *sizes)


@kernels.remember_at.version("cupy")
def remember_at(where, codes, table, projected, past):
    images, _, heads, length, width = past.shape
    arrays = (table, projected, codes, past, where)
    source.launch("remember_at", images, cuda.THREADS, *arrays, heads, length, width)


@kernels.advance.version("cupy")
def advance(where):
    source.launch("advance", 1, 1, where, dtype=np.float32)


def _launch_affine(where, size, row, w, offset, y, following):
    """y, ELU of it to `following`, or both: what is None is left out."""
    outputs = (y is not None) + 2 * (following is not None)
    place = (0, 0, 0) if following is None else _place(following, size)
    arrays = (offset, following if y is None else y, y if following is None else following)
    sizes = (*place, outputs)
    _launch_product("affine_at", where, size, row, w, arrays, offset.shape[2], sizes)


def _launch_product(kernel, where, size, row, w, arrays, columns, sizes):
    """Products of what the taps meet with w, finished with offset and results in `arrays`."""
    images, places, channels = row.shape if row.ndim == 3 else (len(row), 1, row.shape[1])
    blocks = len(w) * (BLOCK // SLICE) * cuda.blocks_of(images, ROWS)
    kernel += "_bfloat16" if w.dtype == np.uint16 else ""
    taps = (places * channels, channels if places > 1 else 0)
    several, along, added = arrays[0].shape
    offsets = (along * added if several > 1 else 0, along)
    shape = (images, w.shape[1], columns, len(w))
    source.launch(
        kernel, blocks, THREADS, row, w, *arrays, where, size, *taps, *offsets, *sizes, *shape
    )


def _place(row, size):
    """Where a position lies in a `row`: (start, from image to image, from column to column)."""
    _, places, channels = row.shape
    if places == 1:
        return 0, channels, 0
    return (places - size) // 2 * channels, places * channels, channels
