"""The tape: every path counted once, memory freed, modes restored."""

import gc
import weakref

import numpy as np
import pytest

import vqv2.functional as F
from vqv2.autodiff import GradientError, Tensor, no_grad
from vqv2.operation import differentiable


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


def test_a_value_used_twice_gets_both_contributions():
    x = leaf(2.0, 3.0)
    y = x * x + x
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [5.0, 7.0])


def test_nested_diamonds_are_visited_once_each():
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2^60 paths
        y = y + y
    y.backward()
    assert x.grad[0] == 2.0**60


def test_a_long_chain_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20000):
        y = y + 1.0
    y.backward()
    assert x.grad[0] == 1.0


def test_gradients_add_up_over_backward_passes_without_touching_the_first():
    x = leaf(1.0, 2.0)
    (x * 2.0).backward(np.ones(2))
    first = x.grad
    (x * 3.0).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])
    np.testing.assert_array_equal(first, [2.0, 2.0])


def test_a_cotangent_handed_to_two_parents_is_not_shared_between_leaves():
    a, b = leaf(1.0), leaf(1.0)
    y = a + b
    (y + a).backward(np.ones(1))
    assert (a.grad[0], b.grad[0]) == (2.0, 1.0)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (1, 1, 3), (4, 1, 1)])
def test_broadcasting_is_undone(shape):
    rng = np.random.default_rng(0)
    a = Tensor(rng.standard_normal(shape), requires_grad=True)
    b = Tensor(rng.standard_normal((4, 2, 3)), requires_grad=True)
    dy = rng.standard_normal((4, 2, 3))
    (a * b).backward(dy)
    assert a.grad.shape == shape
    np.testing.assert_allclose(a.grad.sum(), (dy * b.array).sum())
    np.testing.assert_allclose(b.grad, dy * a.array)


def test_a_second_backward_through_the_same_tape_says_so():
    y = leaf(1.0) * 2.0
    y.backward()
    with pytest.raises(GradientError, match="multiply"):
        y.backward()


@pytest.mark.parametrize("cotangent", [[1, 2], np.array([1.0, 2.0]), Tensor(np.array([1, 2]))])
def test_a_cotangent_is_read_in_the_dtype_of_its_tensor(cotangent):
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    seen = []

    @differentiable
    def watched(x):
        return x, lambda dy: seen.append(dy) or dy

    watched(x).backward(cotangent)
    assert seen[0].dtype == np.float32
    np.testing.assert_array_equal(x.grad, [1, 2])


def test_wrong_cotangents_are_refused():
    y = leaf(1.0, 2.0) * 2.0
    with pytest.raises(GradientError, match="needs a cotangent"):
        y.backward()
    with pytest.raises(GradientError, match=r"\(3,\)"):
        y.backward(np.ones(3))
    with pytest.raises(GradientError, match="requires_grad"):
        Tensor(np.ones(1)).backward()


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (lambda dy: dy, "'product' gives 1 cotangents for 2 inputs: return a tuple"),
        (lambda dy: (dy, dy, dy), "gives 3 cotangents for 2 inputs"),
        (lambda dy: (dy, dy.sum()), r"of shape \(\) for an input of shape \(4,\)"),
        (lambda dy: (dy.sum(axis=0), dy), r"of shape \(4,\) for an input of shape \(3, 4\)"),
        (lambda dy: (dy, dy[:, :1]), r"of shape \(3, 1\) for an input of shape \(4,\)"),
        (lambda dy: (2.0, None), r"of shape \(\) for an input of shape \(3, 4\)"),
    ],
)
def test_an_operation_whose_gradient_does_not_fit_is_named(gradient, message):
    @differentiable
    def product(a, b):
        return a * b, gradient

    a, b = (Tensor(np.ones(shape), requires_grad=True) for shape in ((3, 4), (4,)))
    with pytest.raises(GradientError, match=message):
        product(a, b).backward(np.ones((3, 4)))


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (lambda x: None, "None"),
        (lambda x: 2 * x, "ndarray"),  # which could be unpacked, having two rows
        (lambda x: (2 * x, 2), r"\(ndarray, int\)"),
        (lambda x: (2 * x, x, lambda *dy: dy), r"\(ndarray, ndarray, function\)"),
    ],
)
def test_an_operation_that_returns_no_gradient_is_told_what_to_return(returned, found):
    @differentiable
    def double(x):
        return returned(x)

    message = rf"'double' returned {found}: .* must return two things, \(output, gradient\)"
    for x in (np.ones((2, 3)), Tensor(np.ones((2, 3)), requires_grad=True)):
        with pytest.raises(GradientError, match=message):
            double(x)


def test_memory_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        x = leaf(1.0)
        middle = x * 2.0
        node = weakref.ref(middle.node)
        y = middle * 3.0
        del middle
        assert node() is not None
        del y
        assert node() is None
    finally:
        gc.enable()


def test_backward_frees_saved_arrays_while_the_result_lives():
    saved = []

    class Saved(np.ndarray):
        pass

    @differentiable
    def keep(x):
        kept = (x * 1).view(Saved)
        saved.append(weakref.ref(kept))
        return x, lambda dy: dy * kept

    y = keep(leaf(1.0))
    assert saved[0]() is not None
    y.backward()
    assert saved[0]() is None


NEEDS_ONLY_SHAPES = {
    "add": lambda x: x + x,
    "reshape": lambda x: F.reshape(x, shape=(-1, 2)),
    "transpose": F.transpose,
    "concatenate": lambda x: F.concatenate(x, x),
    "split": lambda x: F.split(x)[0],
    "upsample": F.upsample,
    "index": lambda x: x[:, 0],
    "sum": F.sum,
    "mean": F.mean,
    "relu": F.relu,
    "dropout": lambda x: F.dropout(x, rate=0.5, rng=np.random.default_rng(0)),
}


@pytest.mark.parametrize("name", NEEDS_ONLY_SHAPES)
def test_the_tape_keeps_no_result_that_no_gradient_reads(name):
    x = leaf(1.0) * np.ones((1, 2, 2, 4))
    array = weakref.ref(x.array)
    y = NEEDS_ONLY_SHAPES[name](x)
    y = y + 0.0  # where y is a view of x
    del x
    gc.collect()
    assert array() is None
    y.backward(np.ones(y.shape))


def test_no_grad_records_nothing_and_is_restored_after_an_exception():
    x = leaf(1.0)
    with pytest.raises(RuntimeError), no_grad():
        assert not (x * 2.0).requires_grad
        raise RuntimeError
    assert (x * 2.0).requires_grad


def test_gradients_of_constants_are_not_computed():
    @differentiable
    def operation(a, b):
        return a + b, lambda dy: (lambda: dy, lambda: 1 / 0)

    x = leaf(1.0)
    operation(x, np.ones(1)).backward()
    assert x.grad[0] == 1.0


def test_several_outputs_one_of_them_unused():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    first, second = F.split(x, sections=2)
    (second * 10.0).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [0, 0, 10, 10])
    assert first.shape == (2,)


def test_an_operation_in_ten_lines():
    @differentiable
    def cube(x):
        return x**3, lambda dy: dy * 3 * x**2

    x = leaf(2.0)
    cube(x).backward()
    assert x.grad[0] == 12.0


@pytest.mark.parametrize("numbers", [[1, 2, 3], [True, False], np.arange(3, dtype=np.uint16)])
def test_whole_numbers_have_no_gradient(numbers):
    with pytest.raises(GradientError, match="cannot require a gradient: give it floating-point"):
        Tensor(numbers, requires_grad=True)
    x = Tensor(np.ones(len(numbers), np.float32), requires_grad=True)
    (x * Tensor(numbers) * 0.5).backward(np.ones(len(numbers)))  # as constants they are welcome
    np.testing.assert_array_equal(x.grad, np.asarray(numbers) * np.float32(0.5))
    assert x.grad.dtype == np.float32  # that of x, though the product is float64


def test_a_tensor_is_made_of_numbers():
    for words in ("abc", [None, 1.0], np.array(["a"])):
        with pytest.raises(TypeError, match="a tensor holds numbers, but this is an array of"):
            Tensor(words)
    with pytest.raises(TypeError, match="this is a tensor already"):
        Tensor(leaf(1.0))


def test_an_output_of_whole_numbers_is_a_constant():
    @differentiable
    def largest(x):
        return (x.max(keepdims=True), x.argmax(keepdims=True)), lambda dy, _: np.sign(x) * dy

    value, place = largest(Tensor([0.0, 3.0], requires_grad=True))
    assert value.requires_grad and not place.requires_grad


def test_numpy_reads_constants_and_loses_no_gradient():
    constant = Tensor(np.ones((2, 3), np.float32))
    assert np.asarray(constant) is constant.array
    assert np.stack([constant, constant]).dtype == np.float32
    x = Tensor(np.ones(3), requires_grad=True)
    for lost in (x, x * 2):
        with pytest.raises(GradientError, match="given to NumPy, which would lose it"):
            np.asarray(lost)


def test_array_on_the_left_gives_a_tensor():
    x = leaf(1.0, 2.0)
    y = np.array([3.0, 4.0]) * x - 1.0
    assert isinstance(y, Tensor)
    (2.0 / y).backward(np.ones(2))
    np.testing.assert_allclose(x.grad, [-2 / 4 * 3, -2 / 49 * 4])
