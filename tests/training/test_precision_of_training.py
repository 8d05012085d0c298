"""Training in reduced precision: the setting acts, is kept, and continues exactly."""

import dataclasses

import numpy as np
import pytest

import backends
from backends import shapes
from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import optim, pipeline
from vqv2.cli.main import main
from vqv2.config import AutoencoderConfig, PriorConfig
from vqv2.errors import InputError
from vqv2.models.autoencoder import Autoencoder
from vqv2.run import Run, checkpoint
from vqv2.run.log import read_log
from vqv2.training import Schedule, TrainingError
from vqv2.training.task import resolved

QUIET = Schedule(log_every=1, validate_every=6, progress=False)
CHECKED = dataclasses.replace(QUIET, check_finite=True)


@pytest.fixture
def sources(tmp_path):
    return pipeline.open_splits(write_images(tmp_path / "images.npz"), AUTOENCODER)


def train(folder, sources, precision, steps=6, resume=False, schedule=QUIET):
    """The arrays of a checkpoint after `steps` steps of stage 1."""
    config = dataclasses.replace(AUTOENCODER, precision=precision, steps=steps)
    run = Run.new(folder, CONFIG, sources["train"].class_names, "images.npz") if not resume else (
        Run.open(folder)
    )  # fmt: skip
    run.config = run.config.with_autoencoder(config)
    run.save()
    pipeline.train_autoencoder(run, sources, 0, resume, schedule)
    return checkpoint.load(run.checkpoint_path("autoencoder"))[0]


def test_each_precision_trains_differently_and_about_as_well(tmp_path, sources):
    exact = train(tmp_path / "float32", sources, "float32")
    for precision in ("tf32", "float16", "bfloat16"):
        arrays = train(tmp_path / precision, sources, precision)
        weights = [name for name in exact if name.startswith("average.") and "weight" in name]
        assert weights
        for name in weights:
            assert 0 < np.abs(arrays[name] - exact[name]).max() < 0.01, (precision, name)
        log = read_log(tmp_path / precision / "autoencoder/log.jsonl")[-1]
        assert log["loss"] == pytest.approx(_last_loss(tmp_path / "float32"), rel=0.02)
    assert backends.current_precision() == "float32"


def _last_loss(folder):
    return read_log(folder / "autoencoder/log.jsonl")[-1]["loss"]


def test_a_scaled_training_with_overflows_continues_exactly(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(optim, "FIRST", 2.0**30)  # too much for the first steps
    whole = train(tmp_path / "whole", sources, "float16", 24)
    train(tmp_path / "parts", sources, "float16", 5)
    parts = train(tmp_path / "parts", sources, "float16", 24, resume=True)
    assert set(whole) == set(parts)
    for name, array in whole.items():
        np.testing.assert_array_equal(array, parts[name], err_msg=name)
    log = [
        line for line in read_log(tmp_path / "whole/autoencoder/log.jsonl") if "loss_scale" in line
    ]
    assert log[0]["skipped_steps"] == 1 and 1 < log[-1]["skipped_steps"] < 24
    assert log[-1]["loss_scale"] == 2.0 ** (30 - log[-1]["skipped_steps"])


def test_looking_for_what_is_not_finite_leaves_overflows_of_the_scale_alone(
    tmp_path, sources, monkeypatch
):
    monkeypatch.setattr(optim, "FIRST", 2.0**30)
    plain = train(tmp_path / "plain", sources, "float16", 20)
    checked = train(tmp_path / "checked", sources, "float16", 20, schedule=CHECKED)
    for name, array in plain.items():
        np.testing.assert_array_equal(array, checked[name], err_msg=name)
    assert checked["loss_scale"][2] > 1  # steps that were left out


def test_what_is_not_finite_is_found_in_float16(tmp_path, sources, monkeypatch):
    """Going forward always; going backward where no smaller scale is left to try."""
    monkeypatch.setattr(optim, "FIRST", 2.0**30)
    monkeypatch.setattr(optim, "LEAST", 2.0**30)
    with pytest.raises(TrainingError, match="step 1: conv_transpose2d, .*, going backward, made"):
        train(tmp_path / "backward", sources, "float16", schedule=CHECKED)
    monkeypatch.undo()
    monkeypatch.setattr(Autoencoder, "loss", _hot(Autoencoder.loss))
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match="going forward"):
        train(tmp_path / "forward", sources, "float16", schedule=CHECKED)


def _hot(loss):
    """A loss of pictures with numbers that float16 does not hold."""
    return lambda model, images, rng=None: loss(model, images * np.float32(1e6), rng)


def test_another_precision_does_not_continue_a_training(tmp_path, sources):
    train(tmp_path / "run", sources, "tf32", 2)
    with pytest.raises(InputError, match="its precision is 'tf32', not 'bfloat16'"):
        train(tmp_path / "run", sources, "bfloat16", 4, resume=True)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        (None, "float32"),  # a processor
        ((6, 1), "float32"),
        ((7, 0), "float16"),  # Volta
        ((7, 5), "float16"),  # Turing
        ((8, 0), "bfloat16"),  # Ampere
        ((9, 0), "bfloat16"),
    ],
)
def test_auto_is_what_suits_the_device(capability, expected, monkeypatch):
    monkeypatch.setattr(backends, "compute_capability", lambda: capability)
    assert AutoencoderConfig().precision == PriorConfig().precision == "auto"
    assert resolved(AutoencoderConfig()).precision == expected
    assert resolved(PriorConfig(precision="tf32")).precision == "tf32"


def test_the_capability_is_the_devices():
    with backends.use("reference"):
        assert backends.compute_capability() is None
    with shapes.device():
        assert backends.compute_capability() == (9, 0)


def test_a_training_keeps_what_auto_was_and_says_what_it_is_elsewhere(
    tmp_path, sources, monkeypatch, capsys
):
    monkeypatch.setattr(backends, "compute_capability", lambda: (8, 0))
    train(tmp_path / "run", sources, "auto", 2)
    path = tmp_path / "run/autoencoder/checkpoint.safetensors"
    assert checkpoint.load(path)[1]["config"]["precision"] == "bfloat16"
    monkeypatch.setattr(backends, "compute_capability", lambda: None)
    with pytest.raises(InputError, match="its precision is 'bfloat16', not 'float32'"):
        train(tmp_path / "run", sources, "auto", 3, resume=True)
    data = ["--data", str(tmp_path / "images.npz"), "--out", str(tmp_path / "run")]
    command = ["train", "autoencoder", *data, "--resume", "--steps"]
    capsys.readouterr()
    assert main([*command, "3"]) == 0
    is_said = "precision bfloat16 is emulated on backend" in capsys.readouterr().out
    assert is_said == (backends.current() != "cupy")
    assert checkpoint.load(path)[1]["config"]["precision"] == "bfloat16"
    assert main([*command, "4", "--precision", "auto"]) == 0
    shown = capsys.readouterr()
    assert "precision: float32, as suits the backend" in shown.out
    assert "precision is float32, no longer bfloat16" in shown.err
    assert checkpoint.load(path)[1]["config"]["precision"] == "float32"


def test_the_command_line_sets_it_and_says_that_it_is_emulated(tmp_path, capsys):
    data = write_images(tmp_path / "images.npz")
    settings = [f"--set={name}={getattr(AUTOENCODER, name)}" for name in (
        "image_size", "hidden_units", "residual_units", "layers", "codebook_size", "batch",
    )]  # fmt: skip
    arguments = ["train", "autoencoder", "--data", data, "--out", str(tmp_path / "run")]
    arguments += [*settings, "--set=latent_sizes=4,8", "--steps", "2"]
    assert main([*arguments, "--precision", "half"]) == 2
    assert "precision='half' must be one of auto, float32, tf32" in capsys.readouterr().err
    assert main([*arguments, "--precision", "bfloat16"]) == 0
    is_said = "precision bfloat16 is emulated on backend" in capsys.readouterr().out
    assert is_said == (backends.current() != "cupy")
    assert Run.open(tmp_path / "run").config.autoencoder.precision == "bfloat16"
