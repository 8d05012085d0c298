"""Finding the operation and the layer where numbers stop being finite, in both directions."""

import numpy as np
import pytest

import vqv2.functional as F
from vqv2 import nn
from vqv2.autodiff import Tensor
from vqv2.models.autoencoder import Encoder
from vqv2.nn.finite import NotFiniteError, check_finite
from vqv2.operation import differentiable


class Inner(nn.Module):
    """A layer that does to its input what it is told."""

    def __init__(self, function, rng):
        self.linear = nn.Linear(3, 3, rng)
        self.function = function

    def forward(self, x):
        return self.function(self.linear(x))


class Outer(nn.Module):
    """Three of them, the second of which can do something else."""

    def __init__(self, function=F.relu, recompute=False):
        rng = np.random.default_rng(0)
        self.blocks = [Inner(F.relu, rng), Inner(function, rng), Inner(F.relu, rng)]
        for block in self.blocks if recompute else ():
            block.recompute()

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


@differentiable
def overflow(x):
    """Infinite, with a gradient that is not."""
    return x / np.float32(1e-45), lambda dy: dy


@differentiable
def undefined_gradient(x):
    """Fine forward, NaN backward."""
    return x * 1, lambda dy: lambda: dy * np.float32(np.nan)


X = np.ones((2, 3), np.float32)


def run(model, x=X):
    with check_finite(model):
        F.sum(model(Tensor(x))).backward()


@pytest.mark.parametrize("recompute", [False, True])
def test_the_first_operation_and_its_layer_are_named_going_forward(recompute):
    with np.errstate(all="ignore"), pytest.raises(NotFiniteError) as error:
        run(Outer(overflow, recompute))
    assert "overflow, called by blocks.1, made infinity at (0," in str(error.value)
    assert "of finite numbers, going forward" in str(error.value)


@pytest.mark.parametrize("recompute", [False, True])
def test_the_first_operation_and_its_layer_are_named_going_backward(recompute):
    with pytest.raises(NotFiniteError) as error:
        run(Outer(undefined_gradient, recompute))
    assert "undefined_gradient, called by blocks.1, going backward, made NaN" in str(error.value)


def test_a_parameter_is_told_from_an_operation():
    model = Outer()
    model.blocks[2].linear.weight.array[1, 2] = np.nan
    with pytest.raises(NotFiniteError) as error:
        run(model)
    assert "linear, called by blocks.2.linear, was given NaN at (1, 2)" in str(error.value)
    assert "in the parameter blocks.2.linear.weight" in str(error.value)


def test_data_is_told_from_an_operation():
    found = pytest.raises(NotFiniteError, match="called by blocks.0.linear, was given infinity")
    with np.errstate(all="ignore"), found:
        run(Outer(), np.full((2, 3), np.inf, np.float32))


def test_the_gradient_of_a_parameter_is_named():
    @differentiable
    def scaled(x, w):
        return x * w, lambda dy: (dy * w, dy * np.float32(np.inf))

    model = Outer()
    weight = model.blocks[1].linear.bias
    model.blocks[1].function = lambda x: scaled(x, weight + 1)
    with np.errstate(all="ignore"), pytest.raises(NotFiniteError, match="gradient of its input 2"):
        run(model)
    model.blocks[1].function = lambda x: scaled(x, weight)
    with np.errstate(all="ignore"), pytest.raises(NotFiniteError, match="blocks.1.linear.bias"):
        run(model)


def test_nothing_is_left_behind_and_nothing_is_changed():
    model = Outer()
    F.sum(model(Tensor(X))).backward()
    expected = {name: p.grad for name, p in model.parameters().items()}
    model.zero_gradients()
    run(model)
    assert all((p.grad == expected[name]).all() for name, p in model.parameters().items())
    with np.errstate(all="ignore"), pytest.raises(NotFiniteError):
        run(Outer(overflow))
    with np.errstate(all="ignore"):
        Outer(overflow)(Tensor(X))  # nobody looks any more


def test_every_part_of_a_model_has_its_dotted_name():
    from tests.small import AUTOENCODER

    names = Encoder(3, 4, AUTOENCODER, np.random.default_rng(0)).modules()
    assert {"", "downsampling.convolutions.1", "refinement.stack.blocks.0"} <= set(names)
