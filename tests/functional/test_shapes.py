"""Operations refuse shapes that do not fit, on every backend: kernels read what is not theirs."""

import numpy as np
import pytest

import backends
import vqv2.functional as F

CODES = np.zeros(3, np.int64)
CALLS = {  # operation, shapes of its arguments or codes, the one that does not fit
    "linear, too few channels": (F.linear, [(2, 9, 5), (6, 4)], "w"),
    "linear, too many channels": (F.linear, [(2, 9, 5), (4, 4)], "w"),
    "linear, bias": (F.linear, [(9, 5), (5, 4), (3,)], "b"),
    "conv2d": (F.conv2d, [(1, 6, 6, 3), (3, 3, 8, 4)], "w"),
    "conv2d, bias": (F.conv2d, [(1, 6, 6, 3), (3, 3, 3, 4), (2,)], "b"),
    "conv_transpose2d": (F.conv_transpose2d, [(1, 6, 6, 3), (4, 4, 3, 8)], "w"),
    "causal_conv2d": (F.causal_conv2d, [(1, 6, 6, 3), (12, 5, 8)], "w"),
    "causal_conv2d, a matrix": (F.causal_conv2d, [(1, 6, 6, 3), (12, 3)], "w"),
    "causal_attention, positions": (F.causal_attention, [(1, 9, 4), (1, 7, 4), (1, 9, 5)], "keys"),
    "causal_attention, width": (F.causal_attention, [(1, 9, 6), (1, 9, 4), (1, 9, 5)], "keys"),
    "causal_attention, values": (F.causal_attention, [(2, 9, 4), (2, 9, 4), (1, 9, 5)], "values"),
    "cross_entropy": (F.cross_entropy, [(6, 5), CODES], "targets"),
    "mean_squared_error": (F.mean_squared_error, [(3, 4), (3, 5)], "b"),
    "mean_squared_error, stretched": (F.mean_squared_error, [(3, 4), (3, 1)], "b"),
    "discretized_logistic_mixture": (
        F.discretized_logistic_mixture, [(6, 100), CODES[:, None]], "targets"
    ),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("name", CALLS)
def test_shapes_that_do_not_fit_are_refused(name, backend):
    operation, given, wrong = CALLS[name]
    arguments = [np.ones(a, np.float32) if isinstance(a, tuple) else a for a in given]
    with (
        backends.use(backend),
        pytest.raises(ValueError, match=rf"^{wrong} has shape \(.*\), but beside .* must have \("),
    ):
        operation(*arguments)
