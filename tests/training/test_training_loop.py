"""The training loop: exact continuation, interruption, logs, and refusals."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest

from backends.process.communication import Single
from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import pipeline
from vqv2.errors import InputError
from vqv2.run import Run, checkpoint
from vqv2.run.codes import open_codes
from vqv2.run.log import read_log
from vqv2.training import AutoencoderTask, PriorTask, Schedule, TrainingError, parallel, train
from vqv2.training.signals import interruption

QUIET = Schedule(log_every=1, validate_every=3, progress=False)


@pytest.fixture
def sources(tmp_path):
    return pipeline.open_splits(write_images(tmp_path / "images.npz"), AUTOENCODER)


def new_run(folder, sources):
    run = Run.new(folder, CONFIG, sources["train"].class_names, "images.npz")
    run.save()
    return run


def with_steps(run, steps):
    run.config = dataclasses.replace(
        run.config, autoencoder=dataclasses.replace(run.config.autoencoder, steps=steps)
    )
    return run


def contents(path):
    arrays, metadata = checkpoint.load(path)
    return arrays, metadata["step"]


def test_an_interrupted_training_ends_exactly_like_an_uninterrupted_one(tmp_path, sources):
    whole, parts = new_run(tmp_path / "whole", sources), new_run(tmp_path / "parts", sources)
    pipeline.train_autoencoder(whole, sources, 0, False, QUIET)
    pipeline.train_autoencoder(with_steps(parts, 4), sources, 0, False, QUIET)
    pipeline.train_autoencoder(with_steps(parts, 6), sources, 0, True, QUIET)
    first, steps = contents(whole.checkpoint_path("autoencoder"))
    second, _ = contents(parts.checkpoint_path("autoencoder"))
    assert steps == 6
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_a_prior_continues_exactly_too(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    pipeline.train_autoencoder(run, sources, 0, False, QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    store, results = open_codes(run.codes_folder), []
    for splits in ((5,), (2, 5)):
        for position, steps in enumerate(splits):
            model = run.new_prior("bottom", 1)
            model.config = dataclasses.replace(model.config, steps=steps)
            folder = tmp_path / f"prior{len(splits)}"
            train(PriorTask(model, "bottom", store, 1), folder, 1, position > 0, QUIET)
        results.append(contents(folder / "checkpoint.safetensors")[0])
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name], err_msg=name)
    assert any("variance" in name and array.any() for name, array in results[0].items())


def test_another_seed_trains_another_model(tmp_path, sources):
    models = []
    for seed in (0, 1):
        run = new_run(tmp_path / str(seed), sources)
        pipeline.train_autoencoder(run, sources, seed, False, QUIET)
        models.append(contents(run.checkpoint_path("autoencoder"))[0])
    assert any((models[0][name] != models[1][name]).any() for name in models[0])


@pytest.fixture
def on_ctrl_c():
    """Sets what Ctrl-C does, whatever the shell that started the tests has made of it."""
    former = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, former)


def test_ctrl_c_finishes_the_step_and_saves(tmp_path, sources, on_ctrl_c):
    on_ctrl_c(signal.default_int_handler)
    run = new_run(tmp_path / "run", sources)
    task = AutoencoderTask(run.new_autoencoder(0), sources["train"], sources["held_out"], 0)
    original = task.loss

    def loss(data, rng):
        if task.optimizer.steps == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(data, rng)

    task.loss = loss
    with pytest.raises(KeyboardInterrupt, match="saved at step 3"):
        train(task, run.stage_folder("autoencoder"), 0, schedule=QUIET)
    assert contents(run.checkpoint_path("autoencoder"))[1] == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_may_come_later_than_to_the_others(tmp_path, sources, on_ctrl_c, monkeypatch):
    on_ctrl_c(signal.default_int_handler)
    run, told = new_run(tmp_path / "run", sources), iter((False, True))  # others, in step 2
    monkeypatch.setattr(parallel, "anywhere", lambda condition, communicator: next(told))
    monkeypatch.setattr(Single, "barrier", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="saved at step 2"):
        pipeline.train_autoencoder(run, sources, schedule=QUIET)
    assert contents(run.checkpoint_path("autoencoder"))[1] == 2


def test_ctrl_c_stays_ignored_where_it_was(on_ctrl_c):
    on_ctrl_c(signal.SIG_IGN)
    with interruption() as interrupted:
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert not interrupted


def test_the_log_has_one_line_per_step_and_loses_what_is_trained_again(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    pipeline.train_autoencoder(with_steps(run, 4), sources, 0, False, QUIET)
    path = run.stage_folder("autoencoder") / "log.jsonl"
    with open(path, "a") as file:  # as if the program had been killed after the checkpoint
        file.write(json.dumps({"step": 5, "split": "train"}) + "\n" + '{"step": 6, "spl')
    pipeline.train_autoencoder(with_steps(run, 6), sources, 0, True, QUIET)
    lines = [line for line in read_log(path) if line["split"] == "train"]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "reconstruction", "commitment", "perplexity_top", "used_bottom"} <= set(
        lines[-1]
    )
    assert lines[-1]["images_per_second"] > 0
    held_out = [line["step"] for line in read_log(path) if line["split"] == "held_out"]
    assert held_out == [3, 4, 6]


def test_a_finished_checkpoint_is_never_overwritten_unasked(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    pipeline.train_autoencoder(run, sources, 0, False, QUIET)
    before = run.checkpoint_path("autoencoder").read_bytes()
    with pytest.raises(InputError, match="--resume"):
        pipeline.train_autoencoder(run, sources, 0, False, QUIET)
    assert pipeline.train_autoencoder(run, sources, 0, True, QUIET) == {}
    with pytest.raises(InputError, match="seed"):
        pipeline.train_autoencoder(with_steps(run, 9), sources, 1, True, QUIET)
    assert run.checkpoint_path("autoencoder").read_bytes() == before


def test_a_loss_that_is_not_a_number_stops_and_leaves_the_checkpoint(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    pipeline.train_autoencoder(with_steps(run, 2), sources, 0, False, QUIET)
    before = run.checkpoint_path("autoencoder").read_bytes()
    task = AutoencoderTask(
        with_steps(run, 6).new_autoencoder(0), sources["train"], sources["held_out"], 0
    )
    original = task.loss
    task.loss = lambda data, rng: (original(data, rng)[0] * np.float32("nan"), {})
    with pytest.raises(TrainingError, match="step 3"):
        train(task, run.stage_folder("autoencoder"), 0, True, QUIET)
    assert run.checkpoint_path("autoencoder").read_bytes() == before


def test_a_full_disk_while_saving_is_one_sentence_and_keeps_the_former(
    tmp_path, sources, monkeypatch
):
    run = new_run(tmp_path / "run", sources)
    pipeline.train_autoencoder(with_steps(run, 2), sources, 0, False, QUIET)
    before = run.checkpoint_path("autoencoder").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vqv2.files.tensors.write_all", full)
    with pytest.raises(InputError, match="No space left"):
        pipeline.train_autoencoder(with_steps(run, 4), sources, 0, True, QUIET)
    assert run.checkpoint_path("autoencoder").read_bytes() == before


def test_validation_uses_the_averaged_weights_and_puts_the_trained_ones_back(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    task = AutoencoderTask(run.new_autoencoder(0), sources["train"], sources["held_out"], 0)
    trained = {name: p.array for name, p in task.model.parameters().items()}
    plain = task.validate()
    for average in task.optimizer.average.values():
        average *= 0.5
    assert task.validate() != plain
    assert all(p.array is trained[name] for name, p in task.model.parameters().items())


def test_weights_that_are_not_numbers_are_not_saved(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    task = AutoencoderTask(run.new_autoencoder(0), sources["train"], sources["held_out"], 0)
    task.learning_rate = lambda step: np.nan if step == 6 else 1e-3
    task.validate = lambda: {}
    with pytest.raises(TrainingError, match="not finite at step 6"):
        train(task, run.stage_folder("autoencoder"), 0, schedule=QUIET)
    assert not run.checkpoint_path("autoencoder").exists()


def test_a_codebook_trained_by_a_loss_is_not_averaged(tmp_path, sources):
    config = dataclasses.replace(AUTOENCODER, codebook_update="loss", polyak_decay=0.9999)
    run = new_run(tmp_path / "run", sources)
    run.config = dataclasses.replace(run.config, autoencoder=config)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    arrays, _ = contents(run.checkpoint_path("autoencoder"))
    name = "quantizers.0.codebook"
    np.testing.assert_allclose(arrays[f"average.{name}"], arrays[f"model.{name}"], rtol=1e-5)
    other = "projections.0.linear.weight"
    assert (arrays[f"average.{other}"] != arrays[f"model.{other}"]).any()


def test_other_data_is_not_taken_for_the_same_training(tmp_path, sources):
    run = new_run(tmp_path / "run", sources)
    pipeline.train_autoencoder(with_steps(run, 2), sources, 0, False, QUIET)
    other = pipeline.open_splits(write_images(tmp_path / "images.npz", count=30), AUTOENCODER)
    with pytest.raises(InputError, match="learned from 23 images of .*, but in .* there are 29"):
        pipeline.train_autoencoder(with_steps(run, 4), other, 0, True, QUIET)
