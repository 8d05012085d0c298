"""Windows of positions: the same codes as plain sampling, in fewer passes."""

import math

import numpy as np
import pytest

from tests.sampling.test_incremental import SIZE, K, given, prior
from vqv2.errors import InputError
from vqv2.sampling import IncrementalPrior, NaivePrior, RowSampler, Settings, sample_codes

COARSER = ((5, 2), (6, 4))
MODELS = [("top", ()), ("top", COARSER), ("second kernel", COARSER), ("kernel 7", ())]


def logits_by_windows(stepper, codes, seed):
    """Logits of all positions, from windows of random sizes of which random parts are kept.

    Behind the part that is kept the forecasts lie.
    """
    rng, found = np.random.default_rng(seed), []
    for row in range(SIZE):
        column = 0
        while column < SIZE:
            size = int(rng.integers(1, SIZE - column + 1))
            kept = int(rng.integers(1, size + 1))
            forecast = codes[:, row, column : column + size - 1].copy()
            forecast[:, kept - 1 :] = rng.integers(0, K, forecast[:, kept - 1 :].shape)
            found.append(stepper.window_logits(forecast)[:, :kept])
            assert found[-1].shape == (len(codes), kept, K)
            stepper.append(codes[:, row, column : column + kept])
            column += kept
    return np.concatenate(found, axis=1)


def logits_one_by_one(stepper, codes):
    found = []
    for i in range(SIZE * SIZE):
        found.append(stepper.logits())
        stepper.append(codes[:, i // SIZE, i % SIZE])
    return np.stack(found, axis=1)


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("variant", "coarser"), MODELS)
def test_float32_logits_of_a_window_are_those_of_single_positions_to_the_bit(
    variant, coarser, count, storage
):
    model = prior(variant, coarser, dtype=np.float32)
    label, coarse = given(coarser, count)
    codes = np.random.default_rng(3).integers(0, K, (count, SIZE, SIZE))
    expected = logits_one_by_one(IncrementalPrior(model, count, label, coarse, storage), codes)
    stepper = IncrementalPrior(model, count, label, coarse, storage)
    np.testing.assert_array_equal(logits_by_windows(stepper, codes, 0), expected)


@pytest.mark.parametrize("kind", [IncrementalPrior, NaivePrior])
@pytest.mark.parametrize(("variant", "coarser"), MODELS)
def test_float64_logits_of_a_window_are_those_of_the_full_pass(variant, coarser, kind):
    model = prior(variant, coarser)
    label, coarse = given(coarser)
    codes = np.random.default_rng(3).integers(0, K, (3, SIZE, SIZE))
    full = model(codes, label, coarse).array.reshape(3, SIZE * SIZE, K)
    found = logits_by_windows(kind(model, 3, label, coarse), codes, 1)
    np.testing.assert_allclose(found, full, atol=1e-11)


SETTINGS = [Settings(), Settings(0.8), Settings(1.3, 3), Settings(1, 0, 0.8), Settings(0)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("settings", SETTINGS)
def test_windows_draw_the_codes_of_plain_sampling(settings, count, dtype):
    model = prior("top", COARSER, dtype=dtype)
    label, coarse = given(COARSER, count)

    def draw(seed, **how):
        rng = np.random.default_rng(seed)
        codes = sample_codes(model, count, rng, label, coarse, settings, **how)
        return codes, rng.random()  # what the generator gives next

    for seed, window in enumerate((2, 3, 4, SIZE, 5 * SIZE)):
        plain, after = draw(seed)
        codes, after_windows = draw(seed, window=window)
        np.testing.assert_array_equal(codes, plain)
        assert after_windows == after


@pytest.mark.parametrize("how", [{"storage": "bfloat16"}, {"method": "naive"}], ids=str)
def test_windows_go_with_either_storage_and_method(how):
    model = prior("second kernel", classes=0, dtype=np.float32)
    plain = sample_codes(model, 2, np.random.default_rng(1), **how)
    codes = sample_codes(model, 2, np.random.default_rng(1), window=4, **how)
    np.testing.assert_array_equal(codes, plain)


@pytest.mark.parametrize("window", [2, 5, SIZE])
def test_given_codes_are_kept_in_windows_too(window):
    model, rng = prior("top", classes=0, dtype=np.float32), np.random.default_rng(0)
    rows = np.full((2, SIZE, SIZE), -1)
    rows[:, :3] = rng.integers(0, K, (2, 3, SIZE))
    scattered = np.where(rng.random(rows.shape) < 0.3, rng.integers(0, K, rows.shape), -1)
    for keep in (rows, scattered):
        plain = sample_codes(model, 2, np.random.default_rng(1), given=keep)
        codes = sample_codes(model, 2, np.random.default_rng(1), given=keep, window=window)
        np.testing.assert_array_equal(codes, plain)
        np.testing.assert_array_equal(codes[keep >= 0], keep[keep >= 0])


class Chain:
    """A stepper whose next code is surely the last one plus `step`, whatever the noise."""

    def __init__(self, steps):
        self.steps = np.array(steps)[:, None]
        self.last = np.zeros_like(self.steps)
        self.widths = []

    def window_logits(self, forecast):
        self.widths.append(forecast.shape[1] + 1)
        before = np.concatenate([self.last, forecast], axis=1)
        return 1e3 * np.eye(K)[(before + self.steps) % K]

    def append(self, codes):
        self.last = codes[:, -1:]


class Independent(Chain):
    """A stepper whose logits do not depend on codes at all."""

    def window_logits(self, forecast):
        return np.zeros_like(super().window_logits(forecast))


class Columns(Chain):
    """A stepper whose code at each column is sure, whatever the codes before it."""

    def __init__(self, codes):
        super().__init__([0])
        self.codes, self.column = np.array([codes]), 0

    def window_logits(self, forecast):
        self.widths.append(forecast.shape[1] + 1)
        return 1e3 * np.eye(K)[self.codes[:, self.column : self.column + self.widths[-1]]]

    def append(self, codes):
        self.column = (self.column + codes.shape[1]) % SIZE


def passes(stepper, window, rows=3, given_codes=-1):
    """[[codes fixed by each pass], ...] of every row."""
    count, rng = len(stepper.steps), np.random.default_rng(0)
    sampler = RowSampler(stepper, Settings(), window)
    fixed = []
    for _ in range(rows):
        codes = np.full((count, SIZE), given_codes)
        fixed.append(list(sampler.draw(codes, rng.gumbel(size=(count, SIZE, K)))))
        assert codes.min() >= 0
    assert max(stepper.widths) == min(window, SIZE)
    return fixed


@pytest.mark.parametrize("window", [1, 2, 3, SIZE, 2 * SIZE])
def test_right_forecasts_need_one_pass_for_each_window(window):
    full = [min(window, SIZE - start) for start in range(0, SIZE, window)]
    assert passes(Independent([0, 0]), window) == [full] * 3
    repeating = passes(Chain([0, 0]), window)  # the first row's first forecast is pure noise
    assert repeating[1:] == [full] * 2
    assert passes(Chain([1]), window, given_codes=2) == [full] * 3


@pytest.mark.parametrize("window", [1, 3, SIZE])
def test_a_chain_that_noise_cannot_foresee_is_never_slower_than_plain_sampling(window):
    for fixed in passes(Chain([1]), window):
        assert sum(fixed) == SIZE
        assert len(fixed) <= SIZE
    fixed = passes(Chain([1]), window)[1]
    assert fixed == [1] * SIZE


def test_codes_drawn_behind_a_wrong_one_are_the_next_forecast():
    assert passes(Columns([0, 1, 2, 3, 4, 5, 6, 0]), 4)[1:] == [[2, 3, 2, 1]] * 2


def test_a_row_is_forecast_to_begin_as_the_row_above_began():
    assert passes(Columns([0, 0, 0, 0, 1, 1, 1, 1]), 4)[1:] == [[4, 1, 3]] * 2


def test_all_maps_wait_for_the_one_whose_forecast_failed():
    assert passes(Chain([0, 1]), 4)[1] == [1] * SIZE


@pytest.mark.parametrize("window", [2, 4, SIZE])
def test_an_untrained_priors_passes_are_fewer_than_its_codes(window):
    model = prior("top", classes=0, dtype=np.float32)
    sampler = RowSampler(IncrementalPrior(model, 1), Settings(), window)
    rng, count = np.random.default_rng(0), 0
    for _ in range(SIZE):
        codes = np.full((1, SIZE), -1)
        noise = rng.gumbel(size=(1, SIZE, K)).astype(np.float32)
        count += len(list(sampler.draw(codes, noise)))
    assert SIZE * math.ceil(SIZE / window) <= count < 0.9 * SIZE * SIZE


@pytest.mark.parametrize("window", [0, -3])
def test_a_window_of_nothing_is_refused(window):
    with pytest.raises(InputError, match=f"window {window} must be at least 1"):
        sample_codes(prior("top", classes=0), 1, np.random.default_rng(0), window=window)
