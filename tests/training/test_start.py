"""Fine-tuning: a stage begins with the weights of another run, which it needs only once."""

import json
import shutil

import numpy as np
import pytest

from tests.small import CONFIG, train_all, write_images
from tests.training.killed import differences
from vqv2 import presets
from vqv2.cli.main import main
from vqv2.hierarchy import Hierarchy
from vqv2.run import Run, checkpoint
from vqv2.training import Schedule, loop

STAGES = ("autoencoder", "prior-bottom")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_all(tmp_path_factory.mktemp("start"), Schedule(progress=False))[0].folder


@pytest.fixture
def other(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "small", CONFIG)
    shutil.copytree(trained, tmp_path / "other")
    return tmp_path / "other"


def vqv2(*arguments):
    return main(["--backend", "reference", *map(str, arguments)])


def mine(other, count=30, classes=3):
    return write_images(other.parent / f"mine{count}-{classes}.npz", count=count, classes=classes)


def begin(other, run, *more, data=None):
    data = data or mine(other)
    return vqv2("train", "autoencoder", "--from", other, "--data", data, "--out", run, *more)


def begin_prior(other, run, *more):
    return vqv2("train", "prior", run, "--level", "bottom", "--from", other, *more)


def state(run, stage):
    hierarchy = Hierarchy.load(run)
    model = hierarchy.autoencoder if stage == "autoencoder" else hierarchy.priors["bottom"]
    return model.state()


@pytest.fixture
def stopped_at_once(monkeypatch):
    """A function that calls another one, in which a training ends before its first step."""

    def stop(command, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "update", None)
            with pytest.raises(TypeError):
                command(*arguments)

    return stop


def test_both_stages_begin_with_the_other_runs_weights_and_go_on_without_it(
    other, tmp_path, capsys, stopped_at_once
):
    run, expected = tmp_path / "run", {stage: state(other, stage) for stage in STAGES}
    stopped_at_once(begin, other, run)
    for name, array in expected["autoencoder"].items():  # codebooks and their statistics, too
        np.testing.assert_array_equal(state(run, "autoencoder")[name], array, name)
    assert main(["doctor", str(run)]) == 0
    said = capsys.readouterr().out
    assert "stopped at step 0 of 6" in said and f"began with the weights of {other}, step 6" in said
    assert begin(other, run, "--resume") == 0  # the same command again
    assert vqv2("encode", run) == 0
    capsys.readouterr()
    stopped_at_once(begin_prior, other, run)
    assert "the classes are" not in capsys.readouterr().out
    for name, array in expected["prior-bottom"].items():
        np.testing.assert_array_equal(state(run, "prior-bottom")[name], array, name)
    other.rename(tmp_path / "elsewhere")
    assert begin_prior(other, run, "--resume") == 0
    assert vqv2("train", "prior", run, "--level", "bottom", "--resume", "--steps", 7) == 0
    for stage in STAGES:
        metadata = checkpoint.read_metadata(run / stage / "checkpoint.safetensors")
        origin = json.loads((run / stage / "training.json").read_text())["from"]
        assert metadata["from"] == origin and metadata["step"] > 5
        assert (origin["run"], origin["stage"]) == (str(other), stage)
        assert origin["step"] == (6 if stage == "autoencoder" else 5)
    assert begin_prior(tmp_path / "third", run, "--resume") == 2
    assert "was not begun from" in capsys.readouterr().err


def test_a_fine_tuning_that_is_killed_ends_like_one_that_is_not(other, tmp_path, stopped_at_once):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    often = ("--save-every", 0, "--keep", 9)
    stopped_at_once(begin, other, killed, *often)
    assert begin(other, whole, *often) == 0
    assert vqv2("train", "autoencoder", "--out", killed, "--resume") == 0
    assert differences(whole / "autoencoder", killed / "autoencoder") == []


def test_other_classes_are_learned_anew(other, tmp_path, capsys, stopped_at_once):
    run = tmp_path / "run"
    assert begin(other, run, data=mine(other, 40, 4)) == 0
    assert vqv2("encode", run) == 0
    capsys.readouterr()
    stopped_at_once(begin_prior, other, run)
    said = capsys.readouterr().out
    assert f"the classes are others than those of {other}" in said
    assert "was not begun from" not in said
    former, now = state(other, "prior-bottom"), state(run, "prior-bottom")
    new = Run.open(run).new_prior("bottom", 0).state()
    tables = [name for name in now if name.endswith("label.table")]
    assert tables and set(former) == set(now)
    for name, array in now.items():
        np.testing.assert_array_equal(array, (new if name in tables else former)[name], name)


def test_codes_of_an_unrelated_autoencoder_are_said(other, tmp_path, capsys, stopped_at_once):
    run = tmp_path / "run"
    data = ("--data", mine(other), "--preset", "small", "--out", run)
    assert vqv2("train", "autoencoder", *data) == 0
    assert vqv2("encode", run) == 0
    capsys.readouterr()
    stopped_at_once(begin_prior, other, run)
    assert f"was not begun from that of {other}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hidden_units=16", "have hidden_units 8 and not 16: give --set hidden_units=8"),
        ("codebook_size=5", "have codebook_size 12 and not 5: give --set codebook_size=12"),
        ("latent_sizes=2,4", "do not fit: "),
        ("channels=1", "have channels 3 and not 1"),
    ],
)
def test_an_autoencoder_that_does_not_fit_is_named(other, tmp_path, capsys, setting, said):
    assert begin(other, tmp_path / "run", "--set", setting) == 2
    error = capsys.readouterr().err
    assert f"the weights in {other} do not fit: " in error and said in error
    assert not (tmp_path / "run").exists()


def test_a_prior_that_does_not_fit_is_named(other, tmp_path, capsys):
    run = tmp_path / "run"
    data = ("--data", mine(other), "--preset", "small", "--set", "codebook_size=5", "--out", run)
    assert vqv2("train", "autoencoder", *data) == 0
    assert vqv2("encode", run) == 0
    assert begin_prior(other, run, "--set", "layers=1") == 2
    said = "they have layers 2 and not 1, codebook_size 12 and not 5: give --set layers=2"
    assert said in capsys.readouterr().err
    assert begin_prior(tmp_path, run) == 2
    assert "is not a run folder" in capsys.readouterr().err
    shutil.rmtree(other / "prior-bottom")
    assert begin_prior(other, run) == 2
    assert "there is no checkpoint" in capsys.readouterr().err


def test_images_that_were_added_are_said_with_what_to_do(other, tmp_path, capsys):
    run = tmp_path / "run"
    assert begin(other, run) == 0
    more = ("--resume", "--steps", 9, "--data", mine(other, 31))
    assert vqv2("train", "autoencoder", "--out", run, *more) == 2
    error = capsys.readouterr().err
    assert (
        "it has learned from 29 images of mine30-3.npz, but in mine31-3.npz there are 30" in error
    )
    assert f"`vqv2 train autoencoder --from {run} --data " in error
