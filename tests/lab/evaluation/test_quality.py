"""Held-out codes under cut-off distributions, by hand; diversity; times of positions."""

import numpy as np
import pytest

from backends import to_host
from tests.small import CONFIG
from vqv2.errors import InputError
from vqv2.lab.evaluation.quality import held_out_likelihoods, mean_distance
from vqv2.lab.evaluation.timing import PositionTimes, incremental_times, naive_times
from vqv2.run import build_prior
from vqv2.sampling import Settings
from vqv2.training.prior import evaluate_prior


@pytest.fixture(scope="module")
def prior():
    """A bottom prior whose logits are far from alike."""
    model = build_prior(CONFIG, "bottom", 3, seed=1)
    model.output.logits.weight.array[...] *= 4
    return model


class Store:
    """Random codes of two levels."""

    levels = ("top", "bottom")
    counts = {"held_out": 7}

    def __init__(self):
        rng = np.random.default_rng(0)
        self.maps = {
            level: rng.integers(12, size=(7, size, size)).astype(np.uint16)
            for level, size in (("top", 4), ("bottom", 8))
        }

    def codes(self, split, level):
        """The codes of a level."""
        return self.maps[level]

    def read(self, split, level, indices):
        """Some of them."""
        return self.maps[level][indices]

    def labels(self, split):
        """Classes."""
        return np.arange(7) % 3


def by_hand(prior, store, settings):
    """(nats per code that can be drawn, share that cannot), one position after the other."""
    codes = store.codes("held_out", "bottom")[:]
    top = store.codes("held_out", "top")[:]
    logits = to_host(prior(codes, store.labels("held_out"), [top]).array)
    nats, never = [], 0
    for row, code in zip(logits.reshape(-1, 12), codes.reshape(-1), strict=True):
        p = np.exp(row.astype(np.float64) / settings.temperature)
        order = np.argsort(-p, kind="stable")
        if settings.top_k:
            p[order[settings.top_k :]] = 0
        p /= p.sum()
        before = np.cumsum(p[order]) - p[order]
        if settings.top_p < 1:
            p[order[before >= settings.top_p]] = 0
        p /= p.sum()
        if p[code] == 0:
            never += 1
        else:
            nats.append(-np.log(p[code]))
    return np.mean(nats), never / codes.size


SETTINGS = [
    Settings(),
    Settings(temperature=0.5),
    Settings(temperature=1.3, top_k=5),
    Settings(top_p=0.7),
    Settings(top_k=1),
]


@pytest.mark.parametrize("numbers", [1, 2**23])
def test_likelihoods_are_those_of_the_distribution_that_is_sampled(prior, numbers, monkeypatch):
    monkeypatch.setattr("vqv2.lab.evaluation.quality.BLOCK_NUMBERS", numbers)
    store = Store()
    found = held_out_likelihoods(prior, store, "bottom", SETTINGS)
    for settings, likelihood in zip(SETTINGS, found, strict=True):
        nats, never = by_hand(prior, store, settings)
        assert likelihood.nats_per_code == pytest.approx(nats, rel=1e-4, abs=1e-6), settings
        assert likelihood.never == pytest.approx(never), settings
    assert found[0].never == 0 < found[3].never < found[4].never
    assert found[0].nats_per_code == pytest.approx(
        evaluate_prior(prior, store, "bottom", "held_out")
    )


def test_temperature_zero_has_no_likelihood(prior):
    with pytest.raises(InputError, match="temperature 0"):
        held_out_likelihoods(prior, Store(), "bottom", [Settings(temperature=0)])


def test_mean_distance_is_over_pairs_of_one_class():
    features = np.array([[0.0], [1], [3], [10], [10]])
    assert mean_distance(features[:3]) == pytest.approx((1 + 3 + 2) / 3)
    # within the first class 1, within the second 7 twice and 0
    assert mean_distance(features, [0, 0, 1, 1, 1]) == pytest.approx((1 + 7 + 7 + 0) / 4)
    assert np.isnan(mean_distance(features[:1]))


def test_times_of_positions(prior):
    store = Store()
    codes, top = (store.codes("held_out", level)[:1] for level in ("bottom", "top"))
    found = incremental_times(prior, codes, np.zeros(1, int), [top], repetitions=2)
    assert found.seconds.shape == (2, 64)
    assert found.positions.tolist() == list(range(64))
    naive = naive_times(prior, codes, np.zeros(1, int), [top], positions=3, repetitions=2)
    assert naive.positions.tolist() == [0, 31, 63]
    assert naive.seconds.shape == (2, 3)
    assert found.seconds.min() > 0 < naive.seconds.min()


def test_the_time_of_a_map_is_extrapolated_from_medians():
    times = PositionTimes(np.array([0, 5]), np.array([[1.0, 3], [2, 3], [9, 3]]))
    assert times.median.tolist() == [2, 3]
    assert times.total(10) == 25
