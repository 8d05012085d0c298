"""Inputs for every kernel: ordinary, of size one, empty, off the block sizes, and extreme.

    arguments = CASES[kernel][name](Draw(np.float32, "strided"))

draws the same numbers for every dtype and layout, all of them exact in float32, so that results
in different dtypes and layouts can be compared with one another.

Each family has a module here of the name that it has in `backends.reference`, with its CASES and,
where kernels work in place, CHANGED: the numbers of the arguments that they change, which are their
results.
"""

from tests.cases import (
    adam,
    attention,
    batch_norm,
    causal_conv,
    conv,
    elementwise,
    logistic_mixture,
    loss,
    matmul,
    quantize,
    rows_above,
    sample,
    sampling_step,
)
from tests.cases.draw import LAYOUTS, Draw

__all__ = ["CASES", "CHANGED", "LAYOUTS", "Draw", "run"]

CASES = {
    **conv.CASES,
    **causal_conv.CASES,
    **attention.CASES,
    **elementwise.CASES,
    **batch_norm.CASES,
    **quantize.CASES,
    **loss.CASES,
    **logistic_mixture.CASES,
    **sample.CASES,
    **matmul.CASES,
    **sampling_step.CASES,
    **rows_above.CASES,
    **adam.CASES,
}
CHANGED = {**batch_norm.CHANGED, **sampling_step.CHANGED, **adam.CHANGED}


def run(kernel, function, arguments):
    """The results, a tuple of arrays, of one version of `kernel`."""
    results = function(*arguments)
    if kernel in CHANGED:
        assert results is None
        return tuple(arguments[i] for i in CHANGED[kernel] if arguments[i] is not None)
    return results if isinstance(results, tuple) else (results,)
