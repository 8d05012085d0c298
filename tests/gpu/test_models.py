"""Both stages on the device: the same numbers as on the processor, and few moments of waiting."""

import dataclasses
from functools import partial

import numpy as np
import pytest

import backends
from backends import to_device, to_host
from backends.cupy.engine.cuda_graph import Graph
from backends.reference.packing import STORAGES
from tests.gpu import stand_in
from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import Hierarchy, pipeline
from vqv2.lab import counting
from vqv2.lab.plan.models import models
from vqv2.models.autoencoder import Autoencoder
from vqv2.optim import Adam
from vqv2.run import Run, build_prior
from vqv2.sampling import IncrementalPrior, Settings, sample_codes
from vqv2.training import Schedule

QUIET = Schedule(log_every=1, validate_every=3, progress=False)
STEPS = 4
TOLERANCE = 2e-4  # of float32 sums in another order, after a few steps of training

# How often a step may make the host wait for the device, and copy something to it.
STAGE_1_WAITS = 1 + len(CONFIG.levels)  # the loss; per level, how many codes have to restart
STAGE_1_UPLOADS = 1  # the images
STAGE_2_WAITS = 1  # the loss


def images():
    return np.random.default_rng(5).random((4, 16, 16, 3), dtype=np.float32)


def codes(level_size, count=4, seed=6):
    return np.random.default_rng(seed).integers(0, 12, (count, level_size, level_size))


def train(model, loss):
    """(losses, state afterwards) of some steps of Adam; `loss(rng)` gives a tensor."""
    optimizer = Adam(model.parameters(), 0.5, precision=backends.current_precision())
    losses = []
    for step in range(STEPS):
        value = loss(np.random.default_rng(step))
        losses.append(value.item())
        optimizer.backward(value)
        optimizer.step(1e-3)
    return losses, {**model.state(), **optimizer.state()}


def trained_autoencoder(update="ema", recompute=False):
    settings = {"codebook_update": update, "level_dropout": 0.3, "recompute": recompute}
    config = dataclasses.replace(AUTOENCODER, **settings)
    model = Autoencoder(config, np.random.default_rng(0))
    return train(model, lambda rng: model.loss(images(), rng)[0])


def small_prior(level, recompute=False):
    prior = dataclasses.replace(CONFIG.prior(level), recompute=recompute)
    return build_prior(CONFIG.with_prior(level, prior), level, classes=3, seed=0)


def prior_inputs(level):
    label = np.array([0, 2, 1, 1])
    return (codes(4), label, []) if level == "top" else (codes(8), label, [codes(4)])


def trained_prior(level, recompute=False):
    model = small_prior(level, recompute)
    return train(model, lambda rng: model.loss(*prior_inputs(level), rng=rng))


def assert_same(found, expected):
    (losses, state), (other_losses, other_state) = found, expected
    np.testing.assert_allclose(losses, other_losses, rtol=TOLERANCE)
    assert set(state) == set(other_state)
    for name, array in state.items():
        value = other_state[name]
        assert type(array) is np.ndarray and array.dtype == value.dtype, name
        scale = max(1e-3, np.abs(value).max())
        np.testing.assert_allclose(array, value, rtol=0, atol=TOLERANCE * scale, err_msg=name)


@pytest.mark.parametrize("update", ["ema", "loss"])
def test_stage_1_trains_as_on_the_processor(update, device):
    with backends.use("numba"):
        expected = trained_autoencoder(update)
    assert_same(trained_autoencoder(update), expected)


@pytest.mark.parametrize("level", CONFIG.levels)
def test_stage_2_trains_as_on_the_processor(level, device):
    with backends.use("numba"):
        expected = trained_prior(level)
    assert_same(trained_prior(level), expected)


@pytest.mark.parametrize("precision", backends.PRECISIONS[1:])
def test_reduced_precision_trains_as_its_emulation_on_the_processor(precision, device):
    """Rounding to a neighbour differs now and then where sums differ in their last bits.

    In half precision a device rounds activations and patches, too. Where a gradient is as small as
    that, Adam may take its first steps, 1e-3 each, the other way.
    """
    most = 2e-3 if precision == "tf32" else 4e-3
    for trained in (trained_autoencoder, partial(trained_prior, "bottom")):
        with backends.use("numba", precision=precision):
            expected = trained()
        with backends.use(precision=precision):
            losses, state = trained()
        np.testing.assert_allclose(losses, expected[0], rtol=2e-3)
        assert state.keys() == expected[1].keys()
        averages = [name for name in state if name.startswith("average.")]
        differences = [np.abs(state[name] - expected[1][name]).ravel() for name in averages]
        differences = np.concatenate(differences)
        assert differences.max() <= most and differences.mean() <= 3e-4


def test_activation_recomputation_changes_nothing_but_rounding(device):
    assert_same(trained_autoencoder(recompute=True), trained_autoencoder())
    for level in CONFIG.levels:
        assert_same(trained_prior(level, recompute=True), trained_prior(level))


@pytest.mark.parametrize("level", CONFIG.levels)
def test_incremental_logits_equal_the_full_pass(level, device):
    model = small_prior(level)
    map_codes, label, coarser = prior_inputs(level)
    full = to_host(model(map_codes, label, coarser).array)
    stepper = IncrementalPrior(model, 4, label, coarser)
    for i in range(model.size**2):
        row, column = divmod(i, model.size)
        logits = to_host(stepper.logits())
        np.testing.assert_allclose(logits, full[:, row, column], atol=1e-5)
        stepper.append(to_device(map_codes[:, row, column]))


@pytest.mark.parametrize("level", CONFIG.levels)
@pytest.mark.parametrize("settings", [Settings(), Settings(0.7, 5, 0.8), Settings(0)])
def test_the_same_seed_draws_the_same_codes_as_on_the_processor(level, settings, device):
    def draw(**how):
        _, label, coarser = prior_inputs(level)
        rng = np.random.default_rng(1)
        return sample_codes(small_prior(level), 4, rng, label, coarser, settings, **how)

    with backends.use("numba"):
        expected = draw()
    np.testing.assert_array_equal(draw(), expected)


@pytest.mark.parametrize("level", CONFIG.levels)
@pytest.mark.parametrize("storage", STORAGES)
def test_a_position_is_recorded_once_and_replayed(level, storage, counts):
    """One position launches kernel by kernel, all others are one graph with the same kernels."""
    model = small_prior(level)
    _, label, coarser = prior_inputs(level)
    rng = np.random.default_rng(0)
    found = counted(counts, lambda: sample_codes(model, 4, rng, label, coarser, storage=storage))
    positions = model.size**2
    assert found["captures"] == 1 and found["graphs"] == positions - 1
    case = dataclasses.replace(models(CONFIG, 3)[f"prior {level}"], batch=4)
    launches = counting.sampling(case, storage).position.count
    assert found["replayed"] == launches * (positions - 1)


def test_many_images_are_recorded_too(counts):
    model, rng = small_prior("top"), np.random.default_rng(0)
    label, before = np.zeros(65, int), counts["captures"]
    drawn = sample_codes(model, 65, rng, label)
    assert counts["captures"] == before + 1
    with backends.use("numba"):
        rng = np.random.default_rng(0)
        expected = sample_codes(small_prior("top"), 65, rng, label)
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda xp, x: xp.empty(3),
        lambda xp, x: x + x,
        lambda xp, x: x[1:].item(),
        lambda xp, x: xp.asarray(np.ones(2)),
        lambda xp, x: x.__setitem__(0, 1.0),
        lambda xp, x: xp.matmul(x.reshape(1, 2), x.reshape(2, 1)),
    ],
    ids=["allocating", "arithmetic", "waiting", "uploading", "assigning", "multiplying"],
)
def test_a_recording_refuses_what_cannot_be_replayed(forbidden, device, counts):
    x = to_device(np.ones(2, np.float32))
    graph = Graph([lambda: forbidden(device, x)])
    graph.run()
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnsupported"):
        graph.run()
    assert float(x[1]) == 1  # the capture has ended


def test_future_codes_have_exactly_no_effect(device):
    model = small_prior("top")
    map_codes, label, _ = prior_inputs("top")
    before = to_host(model(map_codes, label).array)
    changed = map_codes.copy()
    changed[:, 2, 1] = (changed[:, 2, 1] + 1) % 12
    after = to_host(model(changed, label).array)
    np.testing.assert_array_equal(after[:, :2], before[:, :2])
    np.testing.assert_array_equal(after[:, 2, :2], before[:, 2, :2])
    assert (after[:, 2, 2:] != before[:, 2, 2:]).any()


def run_folder(folder, sources):
    run = Run.new(folder, CONFIG, sources["train"].class_names, "images.npz")
    run.save()
    return run


@pytest.mark.parametrize(("first", "second"), [("numba", "cupy"), ("cupy", "numba")])
def test_checkpoints_pass_from_backend_to_backend(first, second, device, tmp_path):
    """A training begun on one backend goes on on the other; what was trained loads on both."""
    with backends.use(first):
        sources = pipeline.open_splits(write_images(tmp_path / "images.npz"), AUTOENCODER)
        run = run_folder(tmp_path / "run", sources)
        run.config = run.config.with_autoencoder(dataclasses.replace(AUTOENCODER, steps=3))
        pipeline.train_autoencoder(run, sources, schedule=QUIET)
    with backends.use(second):
        run.config = run.config.with_autoencoder(AUTOENCODER)
        pipeline.train_autoencoder(run, sources, resume=True, schedule=QUIET)
        pipeline.extract_codes(run, sources, progress=False)
        for level in run.config.levels:
            pipeline.train_prior(run, level, schedule=QUIET)
    results = []
    for backend in (first, second):
        with backends.use(backend):
            hierarchy = Hierarchy.load(run.folder)
            encoded = hierarchy.encode(sources["train"].batch(np.arange(5)))
            drawn = hierarchy.sample_codes(2, label=0, seed=3)
            results.append((hierarchy.identity, encoded, drawn, hierarchy.decode(drawn)))
    assert results[0][0] == results[1][0]
    for level in CONFIG.levels:
        for i in (1, 2):
            np.testing.assert_array_equal(results[0][i][level], results[1][i][level])
    np.testing.assert_allclose(results[0][3], results[1][3], atol=1e-5)


@pytest.fixture
def counts(device):
    """What the stand-in has counted."""
    if device.ndarray is not stand_in.ndarray:
        pytest.skip("only the stand-in counts copies and waiting")
    return stand_in.counts


def counted(counts, step):
    """The counts of `step()`, after one call of it that may set things up."""
    step()
    counts.clear()
    step()
    return dict(counts)


def test_a_step_of_stage_1_keeps_to_its_budget(counts):
    model = Autoencoder(AUTOENCODER, np.random.default_rng(0))
    optimizer = Adam(model.parameters(), 0.5)
    rng = np.random.default_rng(0)

    def step():
        loss = model.loss(images(), rng)[0]
        loss.item()
        loss.backward()
        optimizer.step(1e-3)

    found = counted(counts, step)
    assert found["waits"] <= STAGE_1_WAITS
    assert found["uploads"] <= STAGE_1_UPLOADS
    assert found["bytes"] == images().nbytes


def test_a_step_with_loss_scaling_waits_once_more(counts):
    model = Autoencoder(AUTOENCODER, np.random.default_rng(0))
    optimizer = Adam(model.parameters(), 0.5, precision="float16")
    rng = np.random.default_rng(0)

    def step():
        loss = model.loss(images(), rng)[0]
        loss.item()
        optimizer.backward(loss)
        optimizer.step(1e-3)

    with backends.use(precision="float16"):
        found = counted(counts, step)
    assert found["waits"] <= STAGE_1_WAITS + 1
    assert found["uploads"] <= STAGE_1_UPLOADS
    assert found["bytes"] == images().nbytes


@pytest.mark.parametrize("level", CONFIG.levels)
def test_a_step_of_stage_2_keeps_to_its_budget(level, counts):
    model = small_prior(level)
    optimizer = Adam(model.parameters(), 0.5)
    rng = np.random.default_rng(0)
    inputs = prior_inputs(level)

    def step():
        loss = model.loss(*inputs, rng=rng)
        loss.item()
        loss.backward()
        optimizer.step(1e-3)

    found = counted(counts, step)
    assert found["waits"] <= STAGE_2_WAITS
    assert found["uploads"] <= 2 + len(inputs[2])  # codes, labels, codes of each coarser level


@pytest.mark.parametrize("level", CONFIG.levels)
def test_sampling_waits_for_the_finished_map_only(level, counts):
    model = small_prior(level)
    _, label, coarser = prior_inputs(level)
    rng = np.random.default_rng(0)
    found = counted(counts, lambda: sample_codes(model, 4, rng, label, coarser))
    assert found["waits"] == found["downloads"] == 1
    # Seeds, given codes, labels, the sampler's empty map, coarser codes.
    assert found["uploads"] <= 4 + len(coarser)
