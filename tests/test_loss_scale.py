"""Loss scaling: it changes nothing where nothing overflows, and lets no overflow pass."""

import numpy as np
import pytest

from vqv2 import functional as F
from vqv2 import optim
from vqv2.autodiff import Tensor
from vqv2.errors import InputError
from vqv2.optim import Adam


def parameter():
    return Tensor(np.array([1.5, -0.25, 3.0], np.float32), requires_grad=True)


def optimizer_of(w, precision):
    return Adam({"w": w}, 0.9, precision=precision)


def take_steps(optimizer, w, factors):
    """One step with the loss sum(factor * w^2) for each factor; the losses' gradients are exact."""
    for factor in factors:
        optimizer.backward(F.sum(w * w * np.float32(factor)))
        optimizer.step(0.01)


def test_scaled_steps_equal_unscaled_ones_to_the_last_bit():
    weights = []
    for precision in ("float32", "float16"):
        w = parameter()
        optimizer = optimizer_of(w, precision)
        take_steps(optimizer, w, [1, 0.5, 2])
        weights.append((w.array, optimizer.mean["w"], optimizer.average["w"]))
    for scaled, unscaled in zip(*weights, strict=True):
        np.testing.assert_array_equal(scaled, unscaled)


@pytest.mark.parametrize("bad", [np.inf, np.nan, 3e38])
def test_an_overflow_leaves_everything_as_it_was_and_halves_the_scale(bad):
    w = parameter()
    optimizer = optimizer_of(w, "float16")
    take_steps(optimizer, w, [1])
    before = w.array.copy(), optimizer.state()
    with np.errstate(over="ignore", invalid="ignore"):
        take_steps(optimizer, w, [bad])
    np.testing.assert_array_equal(w.array, before[0])
    for name in ("mean.w", "square.w", "average.w"):
        np.testing.assert_array_equal(optimizer.state()[name], before[1][name])
    assert optimizer.steps == 1 and w.grad is None
    assert optimizer.loss_scale.metrics() == {"loss_scale": 2.0**15, "skipped_steps": 1}


def test_the_scale_grows_after_many_good_steps_in_a_row(monkeypatch):
    monkeypatch.setattr(optim, "GROWS_AFTER", 3)
    w = parameter()
    optimizer = optimizer_of(w, "float16")
    scales = []
    for factor in (1, 1, np.inf, 1, 1, 1, 1, 1, 1):
        with np.errstate(invalid="ignore"):
            take_steps(optimizer, w, [factor])
        scales.append(optimizer.loss_scale.scale / 2.0**16)
    assert scales == [1, 1, 0.5, 0.5, 0.5, 1, 1, 1, 2]


def test_the_state_continues_exactly(monkeypatch):
    monkeypatch.setattr(optim, "GROWS_AFTER", 3)
    factors = [1, np.inf, 1, 1, 1, 1]
    w, other = parameter(), parameter()
    whole, first = optimizer_of(w, "float16"), optimizer_of(other, "float16")
    with np.errstate(invalid="ignore"):
        take_steps(whole, w, factors)
        take_steps(first, other, factors[:4])
    second = optimizer_of(other, "float16")
    second.load_state(first.state(), 4)  # four steps, of which Adam has taken three
    assert second.steps == 3
    take_steps(second, other, factors[4:])
    np.testing.assert_array_equal(other.array, w.array)
    assert second.loss_scale.metrics() == whole.loss_scale.metrics()
    np.testing.assert_array_equal(second.state()["loss_scale"], whole.state()["loss_scale"])


def test_a_state_without_scale_is_refused():
    state = optimizer_of(parameter(), "float32").state()
    assert "loss_scale" not in state
    with pytest.raises(InputError, match="no loss_scale"):
        optimizer_of(parameter(), "float16").load_state(state, 0)


def test_what_no_scale_helps_is_said(monkeypatch):
    w = parameter()
    optimizer = optimizer_of(w, "float16")
    with pytest.raises(InputError, match="--precision bfloat16"), np.errstate(invalid="ignore"):
        take_steps(optimizer, w, [np.inf] * 40)
    assert optimizer.loss_scale.skipped == 31


def test_gradients_can_be_looked_at_before_the_step():
    w = parameter()
    optimizer = optimizer_of(w, "float16")
    optimizer.backward(F.sum(w * w))
    assert optimizer.unscale() and optimizer.unscale()  # once only
    np.testing.assert_array_equal(w.grad, 2 * w.array)
    before = w.array.copy()
    optimizer.step(0.01)
    np.testing.assert_allclose(np.abs(w.array - before), 0.01, rtol=1e-3)
    assert optimizer.loss_scale.good == 1


def test_parameters_that_share_an_array_of_gradients_are_unscaled_once():
    v, w = parameter(), parameter()
    optimizer = Adam({"v": v, "w": w}, 0.9, precision="float16")
    optimizer.backward(F.sum(v + w))
    assert v.grad is w.grad
    optimizer.unscale()
    np.testing.assert_array_equal(v.grad, 1)
    np.testing.assert_array_equal(w.grad, 1)
