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
    "conv2d, a kernel that is not square": (F.conv2d, [(1, 6, 6, 3), (3, 2, 3, 4)], "w"),
    "conv_transpose2d": (F.conv_transpose2d, [(1, 6, 6, 3), (4, 4, 3, 8)], "w"),
    "causal_conv2d": (F.causal_conv2d, [(1, 6, 6, 3), (12, 5, 8)], "w"),
    "causal_conv2d, a matrix": (F.causal_conv2d, [(1, 6, 6, 3), (12, 3)], "w"),
    "causal_attention, positions": (F.causal_attention, [(1, 9, 4), (1, 7, 4), (1, 9, 5)], "keys"),
    "causal_attention, width": (F.causal_attention, [(1, 9, 6), (1, 9, 4), (1, 9, 5)], "keys"),
    "causal_attention, values": (F.causal_attention, [(2, 9, 4), (2, 9, 4), (1, 9, 5)], "values"),
    "cross_entropy": (F.cross_entropy, [(6, 5), CODES], "targets"),
    "mean_squared_error": (F.mean_squared_error, [(3, 4), (3, 5)], "b"),
    "mean_squared_error, stretched": (F.mean_squared_error, [(3, 4), (3, 1)], "b"),
    "straight_through": (F.straight_through, [(3, 4), (4,)], "quantized"),
    "discretized_logistic_mixture": (
        F.discretized_logistic_mixture, [(6, 100), CODES[:, None]], "targets"
    ),
}  # fmt: skip


MAPS = {  # operations on maps, given one map alone
    "conv2d": lambda x: F.conv2d(x, np.ones((3, 3, 2, 4))),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, np.ones((3, 3, 4, 2))),
    "causal_conv2d": lambda x: F.causal_conv2d(x, np.ones((13, 2, 4))),
    "upsample": F.upsample,
}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_without_its_batch_is_refused(name):
    with pytest.raises(
        ValueError, match=r"^x has shape \(6, 5, 2\), expected \(N, H, W, C\): .* x\["
    ):
        MAPS[name](np.ones((6, 5, 2)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.conv2d(np.ones((1, 2, 9, 1)), np.ones((3, 3, 1, 1))), ValueError,
         "a kernel of 3x3 with stride 1 and padding 0 has no place on a map of 2x9"),
        (lambda: F.conv2d(np.ones((1, 9, 9, 1)), np.ones((3, 3, 1, 1)), stride=0), ValueError,
         "with stride 0 and"),
        (lambda: F.causal_conv2d(np.ones((1, 4, 4, 2)), np.ones((4, 2, 3))), ValueError,
         "w has 4 taps, but a causal kernel of 5x5 has 12, or 13 with its centre"),
        (lambda: F.split(np.ones((2, 5))), ValueError, "cannot be cut into 2 equal parts"),
        (lambda: F.concatenate([np.ones(2), np.ones(2)]), TypeError, "one after another"),
        (lambda: F.linear([[1.0, 2.0]], np.ones((2, 3))), TypeError,
         r"x is of type list, not an array: give numpy\.asarray\(x\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("codes", "error", "words"),
    [
        (np.array([0, 5]), IndexError, "codes run from 0 to 5, outside 0 to 4"),
        (np.array([-1, 2]), IndexError, "codes run from -1 to 2"),  # NumPy takes the last row
        (np.array([1.0]), TypeError, "codes holds float64"),
        (np.array([True, False]), TypeError, "codes holds bool"),
    ],
)
def test_codes_that_a_table_has_not_are_refused(codes, error, words):
    with pytest.raises(error, match=words):
        F.embedding(codes, np.ones((5, 2)))


INTEGERS = {  # operation, arguments of which one is whole numbers, which one
    "linear": (F.linear, [(2, 3), int], "w"),
    "conv2d": (F.conv2d, [int, (3, 3, 2, 2)], "x"),
    "elu": (F.elu, [int], "x"),
    "gate": (F.gate, [int], "x"),
    "cross_entropy": (F.cross_entropy, [int, CODES], "logits"),
    "mean_squared_error": (F.mean_squared_error, [int, (3,)], "a"),
    "mean_squared_error, the other": (F.mean_squared_error, [(3,), int], "b"),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_whole_numbers_are_refused_where_a_result_would_be_cut_to_them(name):
    operation, given, wrong = INTEGERS[name]
    shaped = [a if isinstance(a, np.ndarray) else np.ones(a) for a in given if a is not int]
    arguments = [CODES if a is int else shaped.pop(0) for a in given]
    with pytest.raises(TypeError, match=f"^{wrong} holds int64, but"):
        operation(*arguments)


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
