"""The numba backend: compiled loops for the processor.

Importing this registers its versions of all kernels, one file per family. `engine/` has what they
are made of: compilation, tiles of matrix products, direct convolution, Winograd's algorithm. Numba
itself is imported when the first of them is called.
"""

from backends import kernels
from backends.numba import (  # noqa: F401  (each registers its versions)
    adam,
    addition,
    attention,
    batch_norm,
    causal_conv,
    conv,
    elementwise,
    logistic_mixture,
    loss,
    matmul,
    packing,
    quantize,
    rows_above,
    sample,
    sampling_step,
)

BY_REFERENCE = (
    kernels.factor,  # x itself
    kernels.follow_moments,  # a few numbers
    kernels.sigmoid,  # of small maps only: gates have one of their own
    kernels.unscale,  # float16, whose losses are scaled, is for devices
    # A few numbers for each image:
    kernels.embed_at,
    kernels.remember_at,
    kernels.advance,
)

for _kernel in BY_REFERENCE:
    _kernel.version("numba")(_kernel.reference)


def description():
    """What the backend found on this machine, in lines for people. Imports Numba."""
    from backends.numba.engine.threading_layer import threading_layer
    from backends.numba.engine.tile import TILE_ROWS, tile_columns, vector_registers

    layer, why = threading_layer()
    tiles = ", ".join(f"{rows} x {tile_columns(rows)}" for rows in (TILE_ROWS, 2, 1))
    return [
        f"threads: {layer}" + (f" ({why}, which is better beside other work)" if why else ""),
        f"vector registers of {vector_registers()[0]} float32 numbers; a product is computed in "
        f"tiles of {tiles} (rows x columns)",
    ]
