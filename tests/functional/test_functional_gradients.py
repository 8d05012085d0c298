"""Every operation's gradient, on every backend that computes in float64."""

import numpy as np
import pytest

import backends
import vqv2.functional as F
from backends.reference.logistic_mixture import parameter_count
from tests.gradients import check_gradient
from vqv2.autodiff import Tensor
from vqv2.operation import differentiable

RNG = np.random.default_rng(7)


def array(*shape):
    return RNG.standard_normal(shape)


def away_from_zero(*shape):
    x = array(*shape)
    return np.sign(x) * (np.abs(x) + 0.1)


CODES = RNG.integers(0, 5, (3, 4))


def dropped(operation):
    """The operation with the same mask each time it is called."""
    return lambda *x: operation(*x, rng=np.random.default_rng(5))


CASES = {
    "add": [(F.add, array(3, 4), array(4)), (lambda a: a + 1.5, array(2))],
    "add_biased": [(F.add_biased, array(2, 3, 4), array(2, 3, 4), array(4))],
    "subtract": [(F.subtract, array(3, 1), array(3, 4)), (lambda a: 1.0 - a, array(2))],
    "multiply": [(F.multiply, array(2, 3), array(2, 1)), (lambda a: -a * 2.0, array(2))],
    "divide": [(F.divide, array(2, 3), away_from_zero(3)), (lambda a: 1 / a, away_from_zero(2))],
    "power": [(lambda a: a**3, array(2, 3)), (lambda a: a**-0.5, np.abs(away_from_zero(4)))],
    "exp": [(F.exp, array(5))],
    "log": [(F.log, np.abs(away_from_zero(5)))],
    "sqrt": [(F.sqrt, np.abs(away_from_zero(5)))],
    "matmul": [(F.matmul, array(3, 4), array(4, 2)), (F.matmul, array(5, 3, 4), array(5, 4, 2))],
    "linear": [
        (F.linear, array(2, 3, 3, 4), array(4, 5), array(5)),
        (F.linear, array(6, 4), array(4, 5)),
        (F.linear, array(0, 4), array(4, 5), array(5)),
    ],
    "sum": [
        (F.sum, array(2, 3)),
        (lambda x: F.sum(x, axis=(0, 2)), array(2, 3, 4)),
        (lambda x: F.sum(x, axis=-1), array(2, 3)),
        (lambda x: F.sum(x, axis=(0, 2), keepdims=True), array(2, 3, 4)),
    ],
    "mean": [(F.mean, array(2, 3)), (lambda x: F.mean(x, axis=1), array(2, 3, 4))],
    "reshape": [(lambda x: F.reshape(x, shape=(3, -1)), array(2, 6))],
    "transpose": [
        (F.transpose, array(2, 3)),
        (lambda x: F.transpose(x, axes=(2, 0, 1)), array(2, 3, 4)),
    ],
    "concatenate": [
        (F.concatenate, array(2, 3), array(2, 1), array(2, 2)),
        (lambda a, b: F.concatenate(a, b, axis=0), array(1, 3), array(2, 3)),
    ],
    "split": [(lambda x: F.split(x, sections=3), array(2, 6))],
    "upsample": [(lambda x: F.upsample(x, factor=3), array(2, 2, 3, 4))],
    "relu": [
        (F.relu, away_from_zero(3, 4)), (F.relu, away_from_zero(2, 3, 4), array(4) * 0.01),
        (lambda x: F.relu(x, skip=True), away_from_zero(3, 4)),
    ],
    "elu": [
        (F.elu, away_from_zero(3, 4)), (F.elu, away_from_zero(2, 3, 4), array(4) * 0.01),
        (lambda x: F.elu(x, skip=True), away_from_zero(3, 4)),
    ],
    "sigmoid": [(F.sigmoid, array(3, 4) * 5)],
    "gate": [(F.gate, array(2, 3, 8))],
    "gate_block": [
        (dropped(lambda *x, rng: F.gate_block(*x, rate=0.4, rng=rng)), array(2, 3, 3, 4),
         array(2, 3, 3, 8), array(8), array(2, 3, 3, 8), array(2, 8)),
        (lambda *x: F.gate_block(*x, None, None), array(2, 3, 3, 4), array(2, 3, 3, 8), array(8)),
    ],
    "dropout": [(dropped(lambda x, rng: F.dropout(x, rate=0.4, rng=rng)), array(5, 7))],
    "conv2d": [
        (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), array(2, 6, 8, 3),
         array(4, 4, 3, 5), array(5)),
        (lambda x, w: F.conv2d(x, w, padding=1), array(1, 5, 3, 2), array(3, 3, 2, 4)),
        (lambda x, w: F.conv2d(x, w, stride=2), array(2, 4, 4, 3), array(1, 1, 3, 2)),
        (lambda x, w: F.conv2d(x, w), array(2, 4, 4, 3), array(1, 1, 3, 2)),
    ],
    "conv_transpose2d": [
        (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1), array(2, 3, 4, 5),
         array(4, 4, 3, 5), array(3)),
        (lambda x, w: F.conv_transpose2d(x, w, stride=2), array(1, 3, 3, 4), array(2, 2, 2, 4)),
    ],
    "causal_conv2d": [
        (lambda x, w, b: F.causal_conv2d(x, w, b, kernel_size=5), array(2, 4, 6, 3),
         array(13, 3, 5), array(5)),
        (lambda x, w: F.causal_conv2d(x, w, kernel_size=3), array(1, 5, 2, 2), array(4, 2, 3)),
    ],
    "causal_attention": [
        (F.causal_attention, array(2, 7, 4), array(2, 7, 4), array(2, 7, 3)),
        (F.causal_attention, array(1, 70, 2), array(1, 70, 2), array(1, 70, 3)),
        (F.causal_attention, array(2, 1, 2), array(2, 1, 2), array(2, 1, 3)),
        *(
            (
                dropped(lambda q, k, v, rng, where=where: F.causal_attention(
                    q, k, v, rate=0.3, dropout_on=where, rng=rng)),
                array(2, 9, 4), array(2, 9, 4), array(2, 9, 3),
            )
            for where in ("logits", "weights")
        ),
    ],
    "embedding": [(lambda table: F.embedding(CODES, table), array(5, 3))],
    "index": [(lambda x: x[1:, ::2], array(3, 5)), (lambda x: x[0], array(3, 5))],
    "cross_entropy": [(lambda x: F.cross_entropy(x, CODES), array(3, 4, 5) * 3)],
    "discretized_logistic_mixture": [
        (lambda p: F.discretized_logistic_mixture(p, CODES, components=3, bins=5),
         array(3, parameter_count(4, 3))),
    ],
    "mean_squared_error": [(F.mean_squared_error, array(3, 4), array(3, 4))],
    "batch_norm": [
        (F.batch_norm, array(4, 3, 3, 5) * 2 + 1, array(5), array(5)),
        (lambda *x: F.batch_norm(*x, relu=True, skip=True), array(4, 3, 3, 5) * 2 + 1, array(5),
         array(5)),
    ],
}  # fmt: skip

NOT_A_DERIVATIVE = {"straight_through"}  # its gradient is not that of its value, by design


def test_every_operation_is_checked():
    assert set(F.__all__) == set(CASES) | NOT_A_DERIVATIVE


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("name", CASES)
def test_gradient(name, backend):
    with backends.use(backend):
        for function, *arrays in CASES[name]:
            check_gradient(function, arrays)


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.001])
def test_the_check_rejects_wrong_gradients(factor):
    @differentiable
    def wrong(x):
        return x * x, lambda dy: factor * 2 * x * dy

    with pytest.raises(AssertionError):
        check_gradient(wrong, [array(3)])


def test_the_check_is_not_blind_to_a_softmax_without_gradient():
    @differentiable
    def softmax(x):
        y = np.exp(x) / np.exp(x).sum()
        return y, lambda dy: dy * 0

    with pytest.raises(AssertionError):
        check_gradient(softmax, [array(4)])


def test_straight_through_copies_the_value_forward_and_the_gradient_back():
    h, q = Tensor(array(2, 3), requires_grad=True), array(2, 3)
    y = F.straight_through(h, q)
    np.testing.assert_array_equal(y.array, q)
    dy = array(2, 3)
    y.backward(dy)
    np.testing.assert_array_equal(h.grad, dy)


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_float32_stays_float32(backend):
    with backends.use(backend):
        for name, cases in CASES.items():
            function, *arrays = cases[0]
            tensors = [Tensor(a.astype(np.float32), requires_grad=True) for a in arrays]
            outputs = function(*tensors)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            assert {output.dtype for output in outputs} == {np.dtype(np.float32)}, name
            outputs[0].backward(np.ones(outputs[0].shape, np.float32))
            assert {t.grad.dtype for t in tensors} == {np.dtype(np.float32)}, name


def test_dropout_keeps_the_mean_and_draws_by_the_generator():
    x = np.ones(100000, np.float32)
    first = F.dropout(x, rate=0.25, rng=np.random.default_rng(0)).array
    again = F.dropout(x, rate=0.25, rng=np.random.default_rng(0)).array
    other = F.dropout(x, rate=0.25, rng=np.random.default_rng(1)).array
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert abs(first.mean() - 1) < 0.01
    assert abs((first == 0).mean() - 0.25) < 0.01
    assert F.dropout(x, rate=0.25).array is x
