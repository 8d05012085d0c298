"""The arithmetic of the paper: each kernel as a formula, on NumPy or CuPy.

Plain functions of arrays: no backend is chosen here, and nothing is fast. `xp` is the array module
of the arguments. The tests hold every fast version against these. A reading order:

    elementwise         activations, gates, and dropout that stores no mask
    conv                convolution, and both of its gradients as sums over the kernel's taps
    batch_norm          biases and batch normalisation: sums over positions
    quantize            equations 1 and 3: the nearest code, and what became of each code
    squared_error       the loss of the autoencoder
    causal_conv         a convolution that sees what comes earlier in raster order only
    attention           strictly causal attention (section A.2)
    matmul              what a linear layer is
    cross_entropy       the loss of the priors
    logistic_mixture    the loss of a prior over vectors (Table 5, no quantisation)
    adam                the optimiser, and Polyak's average
    sample              codes drawn from logits

and then what sampling takes position by position, from few rows and large weights (section F):

    packing             weights in the order in which they are read
    sampling_step       products and attention of a single position
    rows_above          what a row of a map gets from the rows above it, once per row
    position_step       the same with every array at a fixed place, for a CUDA graph
"""

from backends.reference import (  # noqa: F401
    adam,
    attention,
    batch_norm,
    causal_conv,
    conv,
    cross_entropy,
    elementwise,
    logistic_mixture,
    matmul,
    packing,
    position_step,
    quantize,
    rows_above,
    sample,
    sampling_step,
    squared_error,
)
