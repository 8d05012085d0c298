"""The discretised mixture of logistics: its probabilities, one at a time, and what must hold."""

import itertools
import math

import numpy as np
import pytest

from backends.kernels import logistic_mixture, logistic_mixture_gradient
from backends.reference.logistic_mixture import LOWEST_LOG_SCALE, parameter_count

VERSIONS = [("reference", np.float64), ("numba", np.float64), ("numba", np.float32)]
pytestmark = pytest.mark.parametrize("version", VERSIONS, ids=lambda v: f"{v[0]}-{v[1].__name__}")


def losses_of(version, parameters, targets, components, bins):
    """Nats of all `targets` (M, D) under the one distribution `parameters` (P,)."""
    name, dtype = version
    rows = np.tile(parameters.astype(dtype), (len(targets), 1))
    return logistic_mixture.versions[name](rows, targets, components, bins).astype(np.float64)


def draw(dimensions, components, seed=0):
    return np.random.default_rng(seed).standard_normal(parameter_count(dimensions, components))


def probability(parameters, target, components, bins):
    """The formula of the module's docstring with Python numbers, and nothing else."""
    numbers, dimensions = iter(parameters.tolist()), len(target)
    logits = [next(numbers) for _ in range(components)]
    means, log_scales = (
        [[next(numbers) for _ in range(components)] for _ in range(dimensions)] for _ in range(2)
    )
    coefficients = {
        (d, j): [next(numbers) for _ in range(components)]
        for d in range(dimensions)
        for j in range(d)
    }
    assert next(numbers, None) is None
    x = [-1 + 2 * bin / (bins - 1) for bin in target]
    total = 0.0
    for k in range(components):
        p = math.exp(logits[k]) / sum(map(math.exp, logits))
        for d in range(dimensions):
            mean = means[d][k] + sum(coefficients[d, j][k] * x[j] for j in range(d))
            scale, half = math.exp(log_scales[d][k]), 1 / (bins - 1)
            below = logistic((x[d] - half - mean) / scale) if target[d] > 0 else 0
            above = logistic((x[d] + half - mean) / scale) if target[d] < bins - 1 else 1
            p *= above - below
        total += p
    return total


def logistic(u):
    return 1 / (1 + math.exp(-u))


def test_every_probability_is_that_of_the_formula(version):
    dimensions, components, bins = 3, 2, 4
    parameters = draw(dimensions, components)
    targets = np.array(list(itertools.product(range(bins), repeat=dimensions)))
    losses = losses_of(version, parameters, targets, components, bins)
    expected = [probability(parameters, t, components, bins) for t in targets.tolist()]
    np.testing.assert_allclose(np.exp(-losses), expected, rtol=1e-5 if version[1] is np.float32
                               else 1e-12)  # fmt: skip
    assert sum(expected) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dimension", range(4))
def test_256_bins_of_a_dimension_sum_to_one_given_the_earlier_ones(version, dimension):
    """p(x_d | x_<d) = p(x_0 ... x_d) / p(x_0 ... x_d-1): dimensions after d are left out."""
    components, bins = 10, 256
    whole, earlier = (
        leading(draw(4, components), 4, d, components) for d in (dimension + 1, dimension)
    )
    chosen = np.random.default_rng(1).integers(0, bins, dimension)
    targets = np.concatenate([np.tile(chosen, (bins, 1)), np.arange(bins)[:, None]], axis=1)
    joint = np.exp(-losses_of(version, whole, targets, components, bins)).sum()
    given = 1.0
    if dimension:
        given = np.exp(-losses_of(version, earlier, chosen[None], components, bins))[0]
    tolerance = 1e-5 if version[1] is np.float32 else 1e-12
    assert joint / given == pytest.approx(1, rel=tolerance)


def leading(parameters, dimensions, kept, components):
    """The parameters of the first `kept` of `dimensions`."""
    logits, means, log_scales, coefficients = np.split(
        parameters, np.cumsum([components, dimensions * components, dimensions * components])
    )
    count, pairs = kept * components, kept * (kept - 1) // 2 * components
    parts = (logits, means[:count], log_scales[:count], coefficients[:pairs])
    return np.concatenate(parts)


def test_only_earlier_dimensions_shift_a_mean(version):
    dimensions, components, bins = 4, 1, 8
    parameters, rng = draw(dimensions, components), np.random.default_rng(2)
    target = rng.integers(0, bins, dimensions)
    for kept in range(1, dimensions):
        first = leading(parameters, dimensions, kept, components)
        alone = losses_of(version, first, target[None, :kept], components, bins)[0]
        others = list(itertools.product(range(bins), repeat=dimensions - kept))
        targets = np.array([[*target[:kept], *other] for other in others])
        total = np.exp(-losses_of(version, parameters, targets, components, bins)).sum()
        assert -math.log(total) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("log_scale", [-1000.0, LOWEST_LOG_SCALE, 0.0, 30.0])
@pytest.mark.parametrize("mean", [-1e3, -1.0, 0.3, 1e3])
def test_losses_and_gradients_are_finite_wherever_the_component_is(version, mean, log_scale):
    name, dtype = version
    bins = 256
    targets = np.arange(bins)[:, None]
    parameters = np.tile(np.array([0, mean, log_scale], dtype), (bins, 1))
    losses = logistic_mixture.versions[name](parameters, targets, 1, bins)
    ones = np.ones(bins, dtype)
    gradient = logistic_mixture_gradient.versions[name](parameters, targets, ones, 1, bins)
    assert np.isfinite(losses).all() and (losses >= 0).all() and np.isfinite(gradient).all()
    assert np.exp(-losses.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)
    if log_scale < LOWEST_LOG_SCALE:  # where a scale has no effect, it has no gradient
        assert not gradient[:, 2].any()


def test_bins_that_do_not_exist_are_refused(version):
    parameters = np.zeros((1, parameter_count(2, 1)))
    for bad in ([[0, 4]], [[-1, 0]]):
        with pytest.raises(IndexError, match="outside 0 to 3"):
            logistic_mixture.versions[version[0]](parameters, np.array(bad), 1, 4)
