"""The cupy backend: CUDA kernels for NVIDIA GPUs.

Importing this registers its versions of all kernels, one file per family, with the CUDA source in
the .cu file beside it. `engine/` has what they share: launching, products by cuBLAS, CUDA graphs.
The package cupy itself is imported when the first of them is called.
"""

from backends import kernels
from backends.cupy import (  # noqa: F401  (each registers its versions)
    adam,
    attention,
    batch_norm,
    causal_conv,
    conv,
    elementwise,
    loss,
    matmul,
    quantize,
    rows_above,
    sample,
    sampling_step,
)

BY_REFERENCE = (
    # One pass over memory, which array operations of CuPy are as well:
    kernels.add,
    kernels.add_bias,
    kernels.mean_squared_error,
    kernels.mean_squared_error_gradient,
    # A loss that only an ablation uses:
    kernels.logistic_mixture,
    kernels.logistic_mixture_gradient,
    # Once per model, and once per row of a sampled map, a product of cuBLAS:
    kernels.prepare_weights,
    kernels.affine,
    kernels.add_rows_above,
)

for _kernel in BY_REFERENCE:
    _kernel.version("cupy")(_kernel.reference)
