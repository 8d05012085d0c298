"""Adam against its formula, Polyak averages, and the printed schedules."""

import numpy as np
import pytest

from vqv2.autodiff import GradientError, Tensor
from vqv2.config import AutoencoderConfig
from vqv2.errors import InputError
from vqv2.optim import Adam, autoencoder_learning_rate, prior_learning_rate
from vqv2.presets import PRESETS


def test_adam_and_average_against_the_formula():
    rng = np.random.default_rng(0)
    w = Tensor(rng.standard_normal(5), requires_grad=True)
    optimizer = Adam({"w": w}, polyak_decay=0.9)
    theta, m, v, average = w.array.copy(), 0, 0, w.array.copy()
    for t in range(1, 6):
        w.grad = rng.standard_normal(5)
        m, v = 0.9 * m + 0.1 * w.grad, 0.999 * v + 0.001 * w.grad**2
        theta = theta - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        decay = min(0.9, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * theta
        optimizer.step(0.01)
        np.testing.assert_allclose(w.array, theta, rtol=1e-12)
        np.testing.assert_allclose(optimizer.average["w"], average, rtol=1e-12)
        assert w.grad is None


def test_the_average_starts_at_the_initial_weights():
    w = Tensor(np.ones(2), requires_grad=True)
    np.testing.assert_array_equal(Adam({"w": w}, 0.9999).average["w"], w.array)


def test_the_average_follows_a_short_training_and_is_that_of_the_paper_after_a_long_one():
    w = Tensor(np.zeros(1), requires_grad=True)
    optimizer = Adam({"w": w}, 0.9999)
    for _ in range(300):  # all at 1 from the first update on, as if it had converged at once
        w.array[:], w.grad = 1, np.zeros(1)
        optimizer.step(0.0)
    assert optimizer.average["w"] == pytest.approx(1, abs=1e-6)
    decays = {}
    for optimizer.steps in (1, 300, 89_989, 89_990, 2_207_444):
        decays[optimizer.steps] = optimizer.average_decay
    assert decays[1] == pytest.approx(2 / 11) and decays[300] == pytest.approx(301 / 310)
    assert decays[89_989] < 0.9999 and decays[89_990] == decays[2_207_444] == 0.9999


def test_averaged_puts_the_trained_weights_back_after_an_exception():
    w = Tensor(np.ones(2), requires_grad=True)
    optimizer = Adam({"w": w}, 0.9)
    optimizer.average["w"][:] = 5
    with pytest.raises(RuntimeError), optimizer.averaged():
        assert w.array[0] == 5
        raise RuntimeError
    assert w.array[0] == 1


def test_a_parameter_without_gradient_is_named():
    optimizer = Adam({"lost.weight": Tensor(np.ones(2), requires_grad=True)}, 0.9)
    with pytest.raises(GradientError, match="lost.weight"):
        optimizer.step(0.1)


def test_state_that_does_not_fit_is_refused():
    optimizer = Adam({"w": Tensor(np.ones(2), requires_grad=True)}, 0.9)
    state = optimizer.state()
    state["mean.w"] = np.ones(3)
    with pytest.raises(InputError, match="mean.w"):
        optimizer.load_state(state, 1)


@pytest.mark.parametrize(
    ("preset", "level", "peak"), [("imagenet256", 0, 1.84e-4), ("ffhq1024", 0, 3.32e-4)]
)
def test_the_printed_schedule_crosses_at_46908(preset, level, peak):
    config = PRESETS[preset].priors[level]
    rates = {s: prior_learning_rate(s, config) for s in (1, 1000, 46907, 46908, 46909, 10**6)}
    assert max(rates.values()) == pytest.approx(peak, rel=5e-3)
    assert max(rates, key=rates.get) in (46907, 46908, 46909)
    assert rates[1000] == pytest.approx(1000 * rates[1])
    assert rates[10**6] == pytest.approx(config.learning_rate_scale * 512**-0.5 * 10**-2.1)


def test_table_3_rate_is_constant_unless_asked():
    assert autoencoder_learning_rate(10**6, AutoencoderConfig()) == 2e-4
    config = AutoencoderConfig(decay_learning_rate=True, steps=100)
    assert autoencoder_learning_rate(51, config) == pytest.approx(1e-4)
    rates = [autoencoder_learning_rate(step, config) for step in range(1, 102)]
    assert rates[0] == 2e-4 and rates == sorted(rates, reverse=True)
    assert rates[99] > 0 and rates[100] == pytest.approx(0)


def test_a_cosine_of_a_single_step_learns():
    config = AutoencoderConfig(decay_learning_rate=True, steps=1)
    assert autoencoder_learning_rate(1, config) == config.learning_rate
