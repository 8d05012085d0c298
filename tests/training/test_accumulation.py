"""A batch in parts gives the gradients, codebooks and metrics of the whole, and says where not."""

import dataclasses

import numpy as np
import pytest

import backends
from tests.small import AUTOENCODER, CONFIG, PRIOR, write_images
from vqv2 import pipeline
from vqv2.config import replace
from vqv2.errors import InputError
from vqv2.optim import clip_gradients, gradient_norm
from vqv2.run import Run, build_prior, checkpoint
from vqv2.run.codes import open_codes
from vqv2.run.log import read_log
from vqv2.training import AutoencoderTask, PriorTask, Schedule, TrainingError, train
from vqv2.training.draws import step_generator
from vqv2.training.step import compute_gradients
from vqv2.training.task import split

QUIET = Schedule(log_every=1, validate_every=100, progress=False)
PARTS = 4
BATCH = 8


@pytest.fixture(autouse=True)
def readable_kernels():
    """What is compared here is above the kernels, in float64."""
    with backends.use("reference"):
        yield


@pytest.fixture
def sources(tmp_path):
    return pipeline.open_splits(write_images(tmp_path / "images.npz", count=60), AUTOENCODER)


def autoencoder_task(tmp_path, sources, accumulate, **settings):
    config = dataclasses.replace(AUTOENCODER, batch=BATCH, accumulate=accumulate, **settings)
    run = Run(tmp_path, dataclasses.replace(CONFIG, autoencoder=config), ("0", "1", "2"), "")
    model = run.new_autoencoder(0)
    return AutoencoderTask(model.cast(np.float64), sources["train"], sources["held_out"], 0)


def trained(task, steps, record=None):
    """The metrics of each of some steps of training, in float64."""
    metrics = []
    for step in range(1, steps + 1):
        data = task.batch(step)
        data = data.astype(np.float64) if isinstance(data, np.ndarray) else data
        loss, numbers = compute_gradients(task, data, step, step_generator(0, step))
        if record is not None:
            record.append({n: p.grad.copy() for n, p in task.optimizer.parameters.items()})
        task.optimizer.step(1e-3)
        metrics.append({"loss": loss, **numbers()})
    return metrics


def assert_alike(found, expected, tolerance=1e-9):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("update", ["ema", "loss"])
def test_parts_train_the_autoencoder_like_the_whole_batch(tmp_path, sources, update):
    """Started codebooks, averages, restarts (after 2 unused steps), gradients, Adam, metrics."""
    settings = {"codebook_update": update, "restart_after": 2, "codebook_size": 60}
    whole, parts = (
        autoencoder_task(tmp_path, sources, n, augmentation="none", **settings) for n in (1, PARTS)
    )
    gradients, others = [], []
    expected, found = trained(whole, 8, gradients), trained(parts, 8, others)
    for one, other in zip(others, gradients, strict=True):
        assert_alike(one, other, 1e-7)
    assert_alike(parts.model.state(), whole.model.state(), 1e-7)
    assert_alike(parts.optimizer.state(), whole.optimizer.state(), 1e-7)
    for one, other in zip(found, expected, strict=True):
        assert_alike(one, other, 1e-7)
    if update == "ema":
        assert whole.model.quantizers[0].steps.min() < 8  # some codes were restarted


def test_without_the_whole_batch_the_codebooks_would_differ(tmp_path, sources):
    """What the comparison above is worth: parts that learn one by one are not the whole."""
    whole, parts = (autoencoder_task(tmp_path, sources, n, augmentation="none") for n in (1, PARTS))
    data = whole.batch(1).astype(np.float64)
    rng = step_generator(0, 1)
    for part in parts.split(data, PARTS):
        parts.loss(part, rng)
    whole.loss(data, step_generator(0, 1))
    one, other = parts.model.state(), whole.model.state()
    assert np.abs(one["quantizers.0.codebook"] - other["quantizers.0.codebook"]).max() > 1e-3


def prior_task(sources, folder, level, accumulate, dropout=0.0):
    base = dataclasses.replace(CONFIG.prior(level), batch=BATCH, dropout=dropout)
    config = CONFIG.with_prior(level, dataclasses.replace(base, accumulate=accumulate))
    model = build_prior(config, level, 3, 0).cast(np.float64)
    return PriorTask(model, level, open_codes(folder), 0)


@pytest.fixture
def codes_folder(tmp_path, sources):
    config = dataclasses.replace(CONFIG, autoencoder=dataclasses.replace(AUTOENCODER, steps=2))
    run = Run(tmp_path / "run", config, sources["train"].class_names, "images.npz")
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    return run.codes_folder


def test_parts_train_a_prior_like_the_whole_batch(sources, codes_folder):
    whole, parts = (prior_task(sources, codes_folder, "top", n) for n in (1, PARTS))
    expected, found = trained(whole, 4), trained(parts, 4)
    assert_alike(parts.model.state(), whole.model.state(), 1e-7)
    for one, other in zip(found, expected, strict=True):
        assert_alike(one, other)


def test_batch_norm_sees_one_part_at_a_time(sources, codes_folder):
    """The difference that is stated: each part's own statistics, and a moving average of each."""
    whole, parts, byhand = (prior_task(sources, codes_folder, "bottom", n) for n in (1, PARTS, 1))
    gradients, others = [], []
    trained(whole, 1, gradients)
    trained(parts, 1, others)
    name = "conditioning.stack.down_full.0.normalization"
    buffers, of_whole = parts.model.buffers(), whole.model.buffers()
    assert (buffers[f"{name}.steps"], of_whole[f"{name}.steps"]) == (PARTS, 1)
    assert np.abs(buffers[f"{name}.variance"] / of_whole[f"{name}.variance"] - 1).max() > 1e-3
    differences = [np.abs(others[0][n] - gradients[0][n]).max() for n in gradients[0]]
    assert max(differences) > 1e-6
    # What it is instead: the mean of the gradients that batches of a part's size have.
    sums = {}
    for data in byhand.split(byhand.batch(1), PARTS):
        byhand.loss(data, step_generator(0, 1))[0].backward()
        for n, parameter in byhand.optimizer.parameters.items():
            sums[n] = sums.get(n, 0) + parameter.grad / PARTS
            parameter.grad = None
    assert_alike(others[0], sums)
    assert_alike(buffers, byhand.model.buffers())


def test_dropout_draws_other_masks_for_each_part(sources, codes_folder):
    task = prior_task(sources, codes_folder, "top", PARTS, dropout=0.5)
    codes, labels, _ = task.batch(1)
    alike = (np.tile(codes[:2], (PARTS, 1, 1)), np.tile(labels[:2], PARTS), [])
    rng = step_generator(0, 1)
    losses = {task.loss(part, rng)[0].item() for part in task.split(alike, PARTS)}
    assert len(losses) == PARTS


def test_a_training_in_parts_is_logged_saved_and_continued(tmp_path, sources):
    """And may go on with another number of parts, which changes rounding only."""
    ends = {}
    for first, second in ((1, 1), (2, 2), (2, 4)):
        run = Run(tmp_path / f"{first}{second}", CONFIG, sources["train"].class_names, "x")
        for steps, accumulate, resume in ((3, first, False), (6, second, True)):
            settings = {"batch": 4, "steps": steps, "accumulate": accumulate}
            run.config = CONFIG.with_autoencoder(replace(AUTOENCODER, settings))
            pipeline.train_autoencoder(run, sources, 0, resume, QUIET)
        folder = run.stage_folder("autoencoder")
        ends[first, second] = checkpoint.load(folder / "checkpoint.safetensors")[0]
        line = read_log(folder / "log.jsonl")[0]
        assert {"loss", "reconstruction", "perplexity_top", "used_bottom"} <= set(line)
    for other in ((2, 2), (2, 4)):
        for name, array in ends[1, 1].items():
            np.testing.assert_allclose(ends[other][name], array, rtol=1e-2, atol=1e-4, err_msg=name)


def test_parts_are_equally_large():
    with pytest.raises(InputError, match="accumulate 3 must divide batch 4"):
        replace(PRIOR, {"accumulate": 3})
    with pytest.raises(InputError, match="accumulate=0 must be from 1"):
        replace(PRIOR, {"accumulate": 0})
    with pytest.raises(InputError, match="6 images of a batch cannot be computed in 4 equal"):
        split((np.arange(6), None, []), 4)  # nothing is left out in silence


def test_the_norm_is_that_of_all_gradients_and_clipping_bounds_it(tmp_path, sources):
    task = autoencoder_task(tmp_path, sources, 1)
    compute_gradients(task, task.batch(1), 1, step_generator(0, 1))
    parameters = task.optimizer.parameters
    before = {name: p.grad.copy() for name, p in parameters.items()}
    norm = gradient_norm(parameters)
    joined = np.concatenate([g.ravel() for g in before.values()])
    assert norm == pytest.approx(np.linalg.norm(joined), rel=1e-12)
    clip_gradients(parameters, norm, 2 * norm)
    assert all((p.grad == before[name]).all() for name, p in parameters.items())
    clip_gradients(parameters, norm, norm / 3)
    assert gradient_norm(parameters) == pytest.approx(norm / 3)
    assert_alike({n: p.grad * 3 for n, p in parameters.items()}, before)


def test_two_parameters_with_one_gradient_array_are_both_clipped_once():
    class Parameter:
        def __init__(self, grad):
            self.grad = grad

    gradient = np.full(4, 3, np.float32)
    parameters = {"a": Parameter(gradient), "b": Parameter(gradient)}
    clip_gradients(parameters, gradient_norm(parameters), 1.0)
    assert gradient_norm(parameters) == pytest.approx(1, rel=1e-6)


LOGGED, WIDE, NARROW = (
    {"log_gradient_norm": True},
    {"gradient_clipping": 1e9},
    {"gradient_clipping": 1e-3},
)


@pytest.mark.parametrize("settings", [{}, LOGGED, WIDE, NARROW])
def test_clipping_and_logging_change_nothing_until_they_are_reached(tmp_path, sources, settings):
    ends, line = [], {}
    for chosen in ({}, settings):
        run = Run(tmp_path / str(len(ends)), CONFIG, sources["train"].class_names, "x")
        run.config = CONFIG.with_autoencoder(replace(AUTOENCODER, {**chosen, "steps": 3}))
        pipeline.train_autoencoder(run, sources, schedule=QUIET)
        folder = run.stage_folder("autoencoder")
        ends.append(checkpoint.load(folder / "checkpoint.safetensors")[0])
        line = read_log(folder / "log.jsonl")[0]
    same = all((ends[0][name] == array).all() for name, array in ends[1].items())
    assert same == (settings.get("gradient_clipping", 1) >= 1)
    assert ("gradient_norm" in line) == bool(settings)


def test_a_gradient_that_is_no_number_stops_before_the_weights_are(tmp_path, sources):
    task = autoencoder_task(tmp_path, sources, 1, log_gradient_norm=True)
    loss = task.loss

    def poisoned(data, rng):
        value, metrics = loss(data, rng)
        next(iter(task.optimizer.parameters.values())).grad = np.float64(np.inf)
        return value, metrics

    task.loss = poisoned
    with pytest.raises(TrainingError, match="the gradient of autoencoder became inf at step 1"):
        train(task, tmp_path / "stage", 0, schedule=QUIET)
