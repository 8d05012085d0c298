"""Codebooks that collapse, numbers that are not finite: said once, and where."""

import dataclasses

import numpy as np
import pytest

from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import pipeline
from vqv2.run import Run
from vqv2.run.log import read_log
from vqv2.training import AutoencoderTask, Schedule, TrainingError, train
from vqv2.training.record import PATIENCE, collapse_warnings

QUIET = Schedule(log_every=1, validate_every=100, checkpoint_seconds=0, progress=False)
CONFIGURED = dataclasses.replace(AUTOENCODER, codebook_size=512, batch=4, restart_after=0)


def lines(top, bottom, first_step=1):
    """Log lines of these perplexities."""
    return [
        {"step": first_step + i, "perplexity_top": a, "used_top": 3, "perplexity_bottom": b,
         "used_bottom": 3}
        for i, (a, b) in enumerate(zip(top, bottom, strict=True))
    ]  # fmt: skip


def said(history, config=CONFIGURED):
    """Steps at which something is said, as the loop would, and what."""
    return [
        (history[i]["step"], sentence)
        for i in range(len(history))
        for sentence in collapse_warnings(history[max(0, i - PATIENCE) : i + 1], config)
    ]


def test_a_collapse_is_said_once_and_again_after_it_was_over():
    low, high = 1.5, 40.0
    top = [high] * 5 + [low] * 30 + [high] * 3 + [low] * PATIENCE
    warnings = said(lines(top, [high] * len(top)))
    assert [step for step, _ in warnings] == [5 + PATIENCE, 38 + PATIENCE]
    sentence = warnings[0][1]
    assert "codebook of level top has collapsed: since step 6" in sentence
    # 4 images of 4 x 4 codes: 64 at most, of which a twentieth is 3.2.
    assert "below 3.2 of 64 possible, now 1.5 with 3 codes in use; restart_after is 0" in sentence


def test_a_healthy_codebook_and_a_short_dip_are_no_collapse():
    assert said(lines([4.0] * 40, [20.0] * 40)) == []
    assert said(lines(([1.0] * (PATIENCE - 1) + [9.0]) * 4, [20.0] * 4 * PATIENCE)) == []


def test_codes_get_the_time_to_restart_first():
    patient = dataclasses.replace(CONFIGURED, restart_after=20)
    low = lines([1.0] * 80, [90.0] * 80)
    assert [step for step, _ in said(low, patient)] == [60 + PATIENCE - 1]


def test_both_levels_may_collapse_at_once():
    assert len(said(lines([1.0] * PATIENCE, [1.0] * PATIENCE))) == 2


@pytest.fixture
def sources(tmp_path):
    return pipeline.open_splits(write_images(tmp_path / "images.npz"), AUTOENCODER)


def collapsing_task(folder, sources, steps):
    config = dataclasses.replace(AUTOENCODER, steps=steps, restart_after=0)
    run = Run(folder, dataclasses.replace(CONFIG, autoencoder=config), ("0", "1", "2"), "")
    task = AutoencoderTask(run.new_autoencoder(0), sources["train"], sources["held_out"], 0)
    usage = task._usage
    task._usage = lambda codes: {**usage(codes), "perplexity_top": 1.0, "used_top": 1}
    return task


def test_the_loop_says_it_on_the_screen_and_in_the_log_however_it_was_interrupted(
    tmp_path, sources, capsys
):
    logs = []
    for name, ends in (("whole", [14]), ("parts", [4, 11, 14])):
        for i, steps in enumerate(ends):
            task = collapsing_task(tmp_path, sources, steps)
            train(task, tmp_path / name, 0, i > 0, QUIET)
        found = read_log(tmp_path / name / "log.jsonl")
        logs.append([(n["step"], n["warning"]) for n in found if n["split"] == "warning"])
    assert logs[0] == logs[1]
    assert [step for step, _ in logs[0]] == [PATIENCE]
    assert capsys.readouterr().err.count("the codebook of level top has collapsed") == 2


def test_the_operation_and_the_layer_are_found_in_a_training(tmp_path, sources):
    task = collapsing_task(tmp_path, sources, 3)
    checked = dataclasses.replace(QUIET, check_finite=True)
    original = task.learning_rate
    task.learning_rate = lambda step: original(step) if step < 2 else 1e30
    with np.errstate(all="ignore"), pytest.raises(TrainingError) as error:
        train(task, tmp_path / "a", 0, schedule=checked)
    sentence = str(error.value)
    assert sentence.startswith(
        "autoencoder, step 3: conv2d, called by encoders.1.refinement.convolution, made"
    )
    assert "going forward; the last checkpoint is unchanged" in sentence


def test_looking_for_it_changes_nothing(tmp_path, sources):
    ends = []
    for check in (False, True):
        task = collapsing_task(tmp_path, sources, 3)
        train(task, tmp_path / str(check), 0,
              schedule=dataclasses.replace(QUIET, check_finite=check))  # fmt: skip
        ends.append(task.model.state())
    assert all((ends[0][name] == array).all() for name, array in ends[1].items())
