"""The arithmetic of the paper: each kernel as a formula, on NumPy or CuPy.

Plain functions of arrays: no backend is chosen here, and nothing is fast. `xp` is the array module
of the arguments. The tests hold every fast version against these. A reading order:

    elementwise         activations, gates, and dropout that stores no mask
    hashing             chance without a state: what dropout drops, the noise of a draw
    conv                convolution, and both of its gradients as sums over the kernel's taps
    batch_norm          biases and batch normalisation: sums over positions
    quantize            equations 1 and 3: the nearest code, and what became of each code
    loss                mean squared error for the autoencoder, cross-entropy for the priors
    causal_conv         a convolution that sees what comes earlier in raster order only
    attention           strictly causal attention (section A.2)
    matmul              what a linear layer is
    logistic_mixture    the loss of a prior over vectors (Table 5, no quantisation)
    adam                the optimiser, and Polyak's average
    sample              codes drawn from logits

and then what sampling takes, from few rows and large weights (section F):

    packing             weights in the order in which they are read
    rows_above          once per row of a map: what it gets from the rows above it
    sampling_step       position by position: the layers of a prior, with caches
"""

from backends.reference import (  # noqa: F401
    adam,
    attention,
    batch_norm,
    causal_conv,
    conv,
    elementwise,
    hashing,
    logistic_mixture,
    loss,
    matmul,
    packing,
    quantize,
    rows_above,
    sample,
    sampling_step,
)
