"""Modules: names in order, strict loading, state on the host."""

import numpy as np
import pytest

from vqv2 import nn
from vqv2.autodiff import Tensor
from vqv2.errors import InputError


class Pair(nn.Module):
    """Two layers, a list, a dictionary, a buffer and a plain setting."""

    def __init__(self, rng):
        self.second = nn.Linear(2, 3, rng)
        self.first = nn.Linear(3, 2, rng, bias=False)
        self.listed = [nn.BatchNorm(2), nn.BatchNorm(2)]
        self.named = {"x": nn.Embedding(4, 2, rng)}
        self.buffer = np.zeros(3, np.float32)
        self.setting = 7


@pytest.fixture
def pair():
    return Pair(np.random.default_rng(0))


def test_names_are_dotted_and_in_order(pair):
    assert list(pair.parameters()) == [
        "second.weight",
        "second.bias",
        "first.weight",
        "listed.0.scale",
        "listed.0.offset",
        "listed.1.scale",
        "listed.1.offset",
        "named.x.table",
    ]
    assert [n for n in pair.buffers() if "listed.0" in n] == [
        "listed.0.mean",
        "listed.0.variance",
        "listed.0.steps",
    ]
    assert "buffer" in pair.buffers()
    assert pair.parameter_count() == 6 + 3 + 6 + 8 + 8


def test_state_comes_back_and_is_a_copy(pair):
    state = pair.state()
    state["buffer"][0] = 5
    assert pair.buffer[0] == 0
    other = Pair(np.random.default_rng(1))
    other.load_state(state)
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, state[name])


def test_a_model_without_weights_is_nan_until_it_takes_some_over(pair):
    state, empty = pair.state(), Pair(None)
    with pytest.raises(InputError, match="arrays are missing"):
        empty.load_state({"second.bias": state["second.bias"]}, copy=False)
    assert np.isnan(empty.second(Tensor(np.ones((1, 2), np.float32))).array).all()
    empty.load_state(state, copy=False)
    pair.load_state(state)
    weight = state["second.weight"]
    assert np.shares_memory(empty.second.weight.array, weight)  # in memory once
    assert not np.shares_memory(pair.second.weight.array, weight)
    assert all(np.isfinite(parameter.array).all() for parameter in empty.parameters().values())


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(pair, change):
    state = {name: array + 1 for name, array in pair.state().items()}
    before = pair.state()
    name = "named.x.table"
    if change == "missing":
        del state[name]
    elif change == "unexpected":
        name = "other"
        state[name] = np.zeros(1)
    else:
        state[name] = np.zeros((4, 3))
    with pytest.raises(InputError, match=name):
        pair.load_state(state)
    for key, array in pair.state().items():
        np.testing.assert_array_equal(array, before[key])


def test_a_missing_attribute_raises(pair):
    with pytest.raises(AttributeError):
        pair.third  # noqa: B018


def test_weights_have_the_stated_deviation_and_no_outliers():
    weight = nn.Linear(400, 500, np.random.default_rng(0)).weight
    assert weight.dtype == np.float32 and weight.requires_grad
    assert np.abs(weight.array).max() <= 2 / 20
    assert weight.array.std() == pytest.approx(0.88 / 20, rel=0.01)


def test_batch_norm_learns_the_statistics_it_evaluates_with():
    layer, rng = nn.BatchNorm(3).cast(np.float64), np.random.default_rng(0)
    data = rng.standard_normal((64, 4, 4, 3)) * [1, 2, 3] + [5, 0, -5]
    layer(data[:32], rng)
    after_one = layer(data[:32]).array  # debiased: one step is enough
    np.testing.assert_allclose(after_one.mean(axis=(0, 1, 2)), 0, atol=1e-9)
    np.testing.assert_allclose(after_one.std(axis=(0, 1, 2)), 1, rtol=1e-4)
    layer(data[32:], rng)
    decay = 0.99
    means = [half.mean(axis=(0, 1, 2)) for half in (data[:32], data[32:])]
    expected = (decay * means[0] + means[1]) * (1 - decay) / (1 - decay**2)
    np.testing.assert_allclose(layer.mean / (1 - decay**2), expected, rtol=1e-9)


def test_batch_norm_without_any_training_changes_nothing_but_scale():
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    np.testing.assert_allclose(nn.BatchNorm(3)(Tensor(x)).array, x, rtol=1e-4)
