"""Activation recomputation: the same output and gradients, whatever is cut into parts."""

import functools

import numpy as np
import pytest

import vqv2.functional as F
from vqv2.autodiff import Tensor
from vqv2.recompute import recomputed


def test_recomputation_gives_the_same_gradients_with_dropout():
    w = Tensor(np.random.default_rng(0).standard_normal((6, 6)), requires_grad=True)
    x = Tensor(np.random.default_rng(1).standard_normal((4, 6)), requires_grad=True)

    def gradients(again):
        rng = np.random.default_rng(3)

        def segment(h, rng):
            return F.dropout(F.elu(h @ w), rate=0.5, rng=rng)

        w.grad = x.grad = None
        y = recomputed(segment, x, rng=rng) if again else segment(x, rng=rng)
        after = rng.random()
        (y * y).backward(np.ones(y.shape))
        return y.array, x.grad, w.grad, after, rng.random()

    for plain, other in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(plain, other)


@pytest.mark.parametrize("parts", [2, 3, 9])
@pytest.mark.parametrize("count", [1, 5])
def test_recomputation_runs_on_parts_of_a_batch(parts, count):
    draw = np.random.default_rng(0)
    w, x, constant, cotangent = (
        draw.standard_normal(shape) for shape in [(6, 6), (count, 6), (count, 6), (count, 6)]
    )
    sizes = []

    def layer(h, c):
        sizes.append(len(h))
        return F.elu(h @ weight) * c

    results = []
    for run in (layer, functools.partial(recomputed, layer, parts=parts)):
        weight, leaf = Tensor(w, requires_grad=True), Tensor(x, requires_grad=True)
        y = run(leaf, Tensor(constant))
        y.backward(cotangent)
        results.append((y.array, leaf.grad, weight.grad))
    for plain, other in zip(*results, strict=True):
        np.testing.assert_allclose(other, plain, rtol=1e-12)
    used = min(parts, count)
    assert sizes[0] == count and len(sizes) == 1 + 2 * used
    assert set(sizes[1:]) <= {count // used, -(-count // used)}


def test_recomputation_draws_the_same_for_every_part_both_times():
    x = Tensor(np.ones((5, 400)), requires_grad=True)
    rng = np.random.default_rng(0)
    y = recomputed(lambda h, rng: F.dropout(h, rate=0.5, rng=rng), x, rng=rng, parts=3)
    y.backward(np.ones(y.shape))
    np.testing.assert_array_equal(x.grad, y.array)
    assert 0 < np.count_nonzero(y.array) < y.size


@pytest.mark.parametrize("other", [1, 3, 8])
def test_recomputation_in_parts_refuses_inputs_of_different_lengths(other):
    x, y = (Tensor(np.ones((count, 2)), requires_grad=True) for count in (4, other))
    with pytest.raises(ValueError, match=f"of lengths 4, {other}: all must be batches"):
        recomputed(lambda a, b: F.concatenate(a, b[: len(a)]), x, y, parts=2)


def test_recomputation_takes_a_single_number():
    w = Tensor(np.float64(2.0), requires_grad=True)
    recomputed(lambda x: x * x * x, w).backward()
    assert w.grad == 12.0


def test_recomputation_reaches_parameters_when_no_input_needs_a_gradient():
    w = Tensor(np.array([2.0]), requires_grad=True)
    recomputed(lambda x: x * w, Tensor(np.array([3.0]))).backward()
    assert w.grad[0] == 3.0
