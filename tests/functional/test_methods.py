"""What someone who knows NumPy or PyTorch types first works, or says what to type instead."""

import copy
import operator

import numpy as np
import pytest

import vqv2.functional as F
from tests.gradients import check_gradient
from vqv2.autodiff import GradientError, Tensor

A = np.random.default_rng(0).uniform(0.5, 2, (2, 3))
B = np.random.default_rng(1).uniform(0.5, 2, (2, 3))

WORKS = {  # what is typed of one tensor or array, and nothing else: a tensor's gives the array's
    "sum": lambda x: x.sum(),
    "sum over an axis by position": lambda x: x.sum(0),
    "mean over axes": lambda x: x.mean(axis=(0, 1)),
    "a softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
    "mean, axes kept": lambda x: x - x.mean(axis=1, keepdims=True),
    "reshape": lambda x: x.reshape(3, -1),
    "reshape to a tuple": lambda x: x.reshape((1, 6)),
    "T": lambda x: x.T @ B,
    "transpose": lambda x: x.transpose(1, 0),
    "array @ x": lambda x: B.T @ x,
    "array / x": lambda x: B / x,
    "a number of NumPy": lambda x: np.float64(2) * x - np.float64(1),
    "lists": lambda x: [[1.0], [2.0]] * x,
    "np.log, np.sqrt": lambda x: np.log(x) + np.sqrt(x),
    "np.power, np.negative": lambda x: np.negative(np.power(x, 3)),
    "np.sum, np.mean": lambda x: np.sum(x, axis=0) + np.mean(x, 1, keepdims=True),
    "np.reshape, np.transpose": lambda x: np.transpose(np.reshape(x, (3, 2))),
    "np.concatenate": lambda x: np.concatenate([x, B], axis=1),
    "the same row twice": lambda x: x[[0, 0, 1], 1:],
    "places of an array": lambda x: x[np.array([[0, 1], [1, 1]])],
    "a mask": lambda x: x[x > 1],
    "rows": lambda x: sum(row * n for n, row in enumerate(x, start=1)),
}


@pytest.mark.parametrize("typed", WORKS)
def test_what_is_typed_of_an_array_gives_the_same_of_a_tensor_with_its_gradient(typed):
    np.testing.assert_allclose(WORKS[typed](Tensor(A)).array, WORKS[typed](A))
    check_gradient(WORKS[typed], [A])


def test_settings_may_be_given_by_position():
    x = Tensor(A, requires_grad=True)
    y = F.concatenate(F.sum(x, 1, True), F.mean(x, 1, True), F.reshape(x, (2, -1)))
    y.backward(np.ones(y.shape))
    np.testing.assert_allclose(x.grad, 1 + 1 / 3 + 1)


def test_truth_values_and_numbers():
    x = Tensor(A, requires_grad=True)
    for one, other in [(x > 1, A > 1), (np.less(B, x), B < A), (x == x, A == A), (x != B, A != B)]:
        np.testing.assert_array_equal(one, other)
    assert np.allclose(x, A) and np.isfinite(x).all() and np.ones_like(x).shape == np.shape(x)
    assert float(x[0, 0]) == A[0, 0] and int(x[0, 0] * 10) == int(A[0, 0] * 10) and x[0, 0] > 0
    assert len({x, Tensor(A), x}) == 2  # a tensor is its own key
    np.testing.assert_array_equal(copy.deepcopy(x).array, A)


def test_in_place_operators_make_results_and_leave_parameters_alone():
    x = Tensor(A, requires_grad=True)
    loss = x * 2
    loss += x
    loss -= 1
    loss.sum().backward()
    np.testing.assert_array_equal(x.grad, 3 * np.ones((2, 3)))
    for change in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
        with pytest.raises(GradientError, match=r"tensor\.array -= rate \* tensor\.grad"):
            change(x, 0.1)
    array = B.copy()
    array += Tensor(A)
    np.testing.assert_array_equal(array, A + B)


SAYS = {  # what does not work, and what it says
    "backward of an array": (lambda x: (x * 2).backward(), r"tensor\.mean\(\)\.backward\(\)"),
    "x.exp()": (lambda x: x.exp(), r"use vqv2\.functional\.exp\(tensor\)"),
    "x.max()": (lambda x: x.max(), r"use tensor\.array\.max, which has no gradient"),
    "x.numpy()": (lambda x: x.numpy(), r"use tensor\.array"),
    "x.view()": (lambda x: x.view(6), r"use tensor\.reshape"),
    "no attribute anywhere": (lambda x: x.nothing, r"no attribute 'nothing'$"),
    "np.tanh(x)": (lambda x: np.tanh(x), r"numpy\.tanh would lose the gradient"),
    "np.stack of several": (lambda x: np.stack([x, x]), r"numpy\.stack would lose the gradient"),
    "2 ** x": (lambda x: 2**x, r"write F\.exp\(exponent \* F\.log\(base\)\)"),
    "x ** x": (lambda x: x**x, "an exponent has no gradient here"),
    "array += x": (lambda x: B.copy().__iadd__(x), r"numpy\.add would lose the gradient"),
    "np.asarray(x)": (np.asarray, r"use\s+vqv2\.functional"),
    "rows of a number": (lambda x: list(x.sum()), "has no len"),
    "truth of several": (bool, "more than one element is ambiguous"),
    "vectors @": (lambda x: x @ np.ones(3), r"b has shape \(3,\).* a column b\[:, None\]"),
}


@pytest.mark.parametrize("typed", SAYS)
def test_what_does_not_work_says_what_to_type(typed):
    operation, words = SAYS[typed]
    kinds = (GradientError, AttributeError, TypeError, ValueError)
    with pytest.raises(kinds, match=words):
        operation(Tensor(A, requires_grad=True))


def test_constants_go_where_numpy_takes_them():
    x = Tensor(A)
    np.testing.assert_array_equal(np.tanh(x), np.tanh(A))
    np.testing.assert_array_equal(np.stack([x, x]), np.stack([A, A]))
    np.testing.assert_array_equal(np.add.reduce(x), A.sum(axis=0))
