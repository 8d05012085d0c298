"""Incremental sampling: the full forward pass, one position at a time."""

import dataclasses

import numpy as np
import pytest

import backends
from backends import kernels
from backends.numba.engine import causal_winograd
from backends.reference.packing import matrix
from vqv2.autodiff import no_grad
from vqv2.config import PriorConfig
from vqv2.errors import InputError
from vqv2.models.prior import Prior
from vqv2.nn import CausalConv2d
from vqv2.nn.module import watching
from vqv2.sampling import IncrementalPrior, NaivePrior, Settings, sample_codes

CONFIG = PriorConfig(
    hidden_units=8, residual_units=12, layers=4, attention_layers=2, attention_heads=2,
    output_stack_layers=2, conditioning_blocks=2, conditioning_units=8,
)  # fmt: skip
K, SIZE = 7, 8

VARIANTS = {
    "top": {},
    "bottom": {"attention_layers": 0, "output_stack_layers": 0},
    "second kernel": {"second_kernel": 3},
    "kernel 3": {"filter_size": 3, "condition_output_stack": True},
    "kernel 7": {"filter_size": 7, "second_kernel": 5},
}


def prior(variant, coarser=(), classes=3, dtype=np.float64, size=SIZE):
    config = dataclasses.replace(CONFIG, **VARIANTS[variant]).check()
    model = Prior(config, K, size, np.random.default_rng(0), coarser, classes)
    rng = np.random.default_rng(1)
    for parameter in model.parameters().values():
        parameter.array += 0.1 * rng.standard_normal(parameter.shape, dtype=np.float32)
    return model.cast(dtype)


def given(coarser, count=3):
    rng = np.random.default_rng(2)
    label = rng.integers(0, 3, count)
    return label, [rng.integers(0, k, (count, s, s)) for k, s in coarser]


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("coarser", [(), ((5, 2), (6, 4))], ids=["top", "conditioned"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_the_full_pass_at_every_position(variant, coarser, backend):
    with backends.use(backend):
        model = prior(variant, coarser)
        label, coarse = given(coarser)
        codes = np.random.default_rng(3).integers(0, K, (3, SIZE, SIZE))
        with no_grad():
            full = model(codes, label, coarse).array
        stepper = IncrementalPrior(model, 3, label, coarse)
        for i in range(SIZE * SIZE):
            row, column = divmod(i, SIZE)
            np.testing.assert_allclose(stepper.logits(), full[:, row, column], atol=1e-11)
            stepper.append(codes[:, row, column])


def assert_follows(stepper, codes, full, atol):
    """The stepper's logits at every position are those of a full pass."""
    for i in range(SIZE * SIZE):
        row, column = divmod(i, SIZE)
        logits = stepper.logits()
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, full[:, row, column], atol=atol)
        stepper.append(codes[:, row, column])


@pytest.fixture(params=["product", "winograd"])
def above(request, monkeypatch):
    """How the rows above are multiplied: Winograd's algorithm else waits for wider layers."""
    if request.param == "winograd":
        monkeypatch.setattr(causal_winograd, "LEAST_CHANNELS", 1)
        monkeypatch.setattr(causal_winograd, "LEAST_WIDTH", 1)
    return request.param


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("coarser", [(), ((5, 2), (6, 4))], ids=["top", "conditioned"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_logits_equal_the_full_pass_to_rounding(variant, coarser, count, above):
    """In float32 the weights are laid out in blocks, and another kernel multiplies them."""
    label, coarse = given(coarser, count)
    codes = np.random.default_rng(3).integers(0, K, (count, SIZE, SIZE))
    with no_grad():
        full = prior(variant, coarser)(codes, label, coarse).array
    stepper = IncrementalPrior(prior(variant, coarser, dtype=np.float32), count, label, coarse)
    if backends.current() == "numba":
        by_winograd = above == "winograd" and not variant.startswith("kernel")
        assert (stepper.first.weight_above.ndim == 5) == by_winograd
    assert_follows(stepper, codes, full, 2e-5 * np.abs(full).max())


def rounded(model):
    """The prior with the weights that its incremental sampler stores as bfloat16 rounded so."""
    for name, parameter in model.parameters().items():
        if not name.endswith("weight") or name.startswith("conditioning."):
            continue
        projects = name.split(".")[-2] in ("queries", "keys", "values")
        weights = parameter.array[:-2] if projects else parameter.array  # but for the position
        flat = weights.reshape(-1, weights.shape[-1])
        flat[...] = matrix(kernels.prepare_weights(flat, "bfloat16"), flat.shape[-1])
    return model


@pytest.mark.parametrize("coarser", [(), ((5, 2), (6, 4))], ids=["top", "conditioned"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_storage_is_the_prior_with_rounded_weights(variant, coarser):
    label, coarse = given(coarser)
    codes = np.random.default_rng(3).integers(0, K, (3, SIZE, SIZE))
    with no_grad():
        full = rounded(prior(variant, coarser, dtype=np.float32))(codes, label, coarse).array
        exact = prior(variant, coarser)(codes, label, coarse).array
    model = prior(variant, coarser, dtype=np.float32)
    stepper = IncrementalPrior(model, 3, label, coarse, storage="bfloat16")
    assert_follows(stepper, codes, full, 2e-5 * np.abs(full).max())
    assert 0.1 > np.abs(full - exact).max() / np.abs(exact).max() > 1e-4


def test_an_unknown_storage_is_refused():
    with pytest.raises(InputError, match="storage 'int8' must be one of"):
        sample_codes(prior("top", classes=0), 1, np.random.default_rng(0), storage="int8")


def test_naive_sampling_has_float32_weights_only_and_no_third_method_exists():
    model, rng = prior("top", classes=0), np.random.default_rng(0)
    with pytest.raises(InputError, match="storage 'bfloat16' is for incremental sampling"):
        sample_codes(model, 1, rng, method="naive", storage="bfloat16")
    with pytest.raises(InputError, match="no method 'fast': use incremental or naive"):
        sample_codes(model, 1, rng, method="fast")


def test_every_layers_cache_holds_what_the_full_pass_computes():
    """The inputs of each causal convolution, its current and upper rows, at every position."""
    model = prior("top")
    label, _ = given(())
    codes = np.random.default_rng(3).integers(0, K, (3, SIZE, SIZE))
    inputs = _inputs_of_causal_convolutions(model, codes, label)
    stepper = IncrementalPrior(model, 3, label)
    gated = [layer for layer in stepper.layers[:6] if hasattr(layer, "first")]
    convolutions = [stepper.first] + [layer.first for layer in gated]
    assert len(convolutions) == len(inputs) == 5
    for i in range(SIZE * SIZE):
        row, column = divmod(i, SIZE)
        stepper.logits()
        stepper.append(codes[:, row, column])
        for convolution, expected in zip(convolutions, inputs, strict=True):
            for back in range(min(row, 2) + 1):
                known = column + 1 if back == 0 else SIZE
                rows = convolution.above[:, 2 - back] if back else convolution.input
                cached = rows[:, 2 : 2 + known]
                np.testing.assert_allclose(cached, expected[:, row - back, :known], atol=1e-11)


def _inputs_of_causal_convolutions(model, codes, label):
    """What each causal 5x5 convolution is given in a full forward pass."""
    seen = []

    def watch(module, inputs, run):
        if isinstance(module, CausalConv2d):
            seen.append(inputs[0].array)
        return run()

    with no_grad(), watching(watch):
        model(codes, label)
    return seen


@pytest.mark.parametrize("coarser", [(), ((5, 4),)])
def test_naive_and_incremental_draw_the_same_codes(coarser, above):
    model = prior("top", coarser, dtype=np.float32)
    label, coarse = given(coarser)
    for settings in (Settings(), Settings(0.7, 3), Settings(1.3, 0, 0.8)):
        drawn = [
            sample_codes(model, 3, np.random.default_rng(4), label, coarse, settings, method=method)
            for method in ("incremental", "naive")
        ]
        np.testing.assert_array_equal(*drawn)


def test_the_same_seed_gives_the_same_codes_and_another_others():
    model = prior("top", classes=0)
    a, b, c = (sample_codes(model, 2, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_given_codes_are_kept_and_the_rest_follows_from_them():
    model = prior("top", classes=0)
    free = sample_codes(model, 2, np.random.default_rng(1))
    keep = np.full((2, SIZE, SIZE), -1)
    keep[:, :3] = free[:, :3]
    continued = sample_codes(model, 2, np.random.default_rng(1), given=keep)
    np.testing.assert_array_equal(continued, free)  # same prefix, same noise
    keep[:, :3] = (free[:, :3] + 1) % K
    other = sample_codes(model, 2, np.random.default_rng(1), given=keep)
    np.testing.assert_array_equal(other[:, :3], keep[:, :3])
    assert (other[:, 3:] != free[:, 3:]).any()


def test_samples_follow_the_models_probabilities():
    """The first two codes of many samples against the exact joint probabilities."""
    model = prior("bottom", classes=0, size=4)
    count = 6000
    codes = sample_codes(model, count, np.random.default_rng(0), method="incremental")
    first = np.bincount(codes[:, 0, 0], minlength=K) / count
    stepper = NaivePrior(model, 1)
    logits = stepper.logits()[0]
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    np.testing.assert_allclose(first, expected, atol=4 * np.sqrt(0.25 / count))
    likeliest = int(expected.argmax())
    stepper.append(np.array([likeliest]))
    logits = stepper.logits()[0]
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    chosen = codes[codes[:, 0, 0] == likeliest, 0, 1]
    second = np.bincount(chosen, minlength=K) / len(chosen)
    np.testing.assert_allclose(second, expected, atol=4 * np.sqrt(0.25 / len(chosen)))


def test_temperature_zero_is_greedy_and_top_k_limits():
    model = prior("top", classes=0)
    greedy = [
        sample_codes(model, 1, np.random.default_rng(s), settings=Settings(temperature=0))
        for s in (0, 1)
    ]
    np.testing.assert_array_equal(*greedy)
    one = sample_codes(model, 1, np.random.default_rng(0), settings=Settings(top_k=1))
    np.testing.assert_array_equal(one, greedy[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(temperature=-1), "temperature"),
        (Settings(temperature=float("nan")), "temperature"),
        (Settings(top_k=-1), "top-k"),
        (Settings(top_p=0), "top-p"),
        (Settings(top_p=1.5), "top-p"),
    ],
)
def test_meaningless_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        sample_codes(prior("top", classes=0), 1, np.random.default_rng(0), settings=settings)


@pytest.mark.parametrize(
    ("asked", "codes", "message"),
    [
        (False, [0, 0], "logits come before append"),
        (True, [0, K], f"from 0 to {K}, but there are only those from 0 to {K - 1}"),
        (True, [-1, 0], "from -1 to 0"),
        (True, [0, 0, 0], r"shape \(3,\), expected one for each of 2 maps"),
        (True, [0], r"shape \(1,\)"),
        (True, [[0, 0], [0, 0]], r"shape \(2, 2\)"),
    ],
)
def test_codes_that_cannot_be_appended_are_refused(asked, codes, message):
    stepper = IncrementalPrior(prior("top", classes=0), 2)
    if asked:
        stepper.logits()
    with pytest.raises(InputError, match=message):
        stepper.append(np.array(codes))


def test_logits_may_be_asked_for_again():
    stepper = IncrementalPrior(prior("top", classes=0), 2)
    for _ in range(2 * SIZE):
        np.testing.assert_array_equal(stepper.logits(), stepper.logits())
        stepper.append(np.array([0, 1]))
    again = IncrementalPrior(prior("top", classes=0), 2)
    for _ in range(2 * SIZE):
        again.logits()
        again.append(np.array([0, 1]))
    np.testing.assert_array_equal(stepper.logits(), again.logits())


def test_no_position_follows_the_last():
    stepper = IncrementalPrior(prior("top", classes=0), 1)
    stepper.skip_to(SIZE)
    with pytest.raises(InputError, match="all positions of the map have their codes"):
        stepper.logits()


def test_a_label_is_refused_where_there_are_no_classes():
    with pytest.raises(InputError, match="no classes: leave the label out"):
        IncrementalPrior(prior("top", classes=0), 2, np.array([0, 0]))


@pytest.mark.parametrize(
    "keep", [np.zeros((1, 2, 2), int), np.full((1, SIZE, SIZE), K), np.zeros((1, SIZE, SIZE))]
)
def test_unusable_given_codes_are_refused(keep):
    with pytest.raises(InputError, match="given code"):
        sample_codes(prior("top", classes=0), 1, np.random.default_rng(0), given=keep)
