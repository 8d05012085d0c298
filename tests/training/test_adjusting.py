"""Going on with another learning rate and the like: asked for, said, logged, and exact."""

import dataclasses
import json
import shutil
from argparse import Namespace

import numpy as np
import pytest

from tests.small import CONFIG, write_images
from tests.training.killed import differences
from vqv2 import pipeline, presets
from vqv2.cli.main import main
from vqv2.cli.training import check_continues
from vqv2.errors import InputError
from vqv2.run import Run, checkpoint
from vqv2.run.log import read_log
from vqv2.training import Schedule, loop

QUIET = Schedule(log_every=1, checkpoint_seconds=0, progress=False)
STAGES = {
    "autoencoder": ("learning_rate=2e-4", "gradient_clipping=1"),
    "prior-top": ("learning_rate_scale=0.02", "dropout=0.3"),
    "classifier": ("learning_rate=2e-4", "dropout=0.1"),
}


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Begin a stage in FOLDER/run for 4 steps; a function that goes on with it in any folder."""
    data = write_images(tmp_path / "images.npz")
    monkeypatch.setitem(presets.PRESETS, "small", CONFIG)

    def begin(stage, *more):
        run = tmp_path / "run"
        if stage == "prior-top":
            assert train(run, "autoencoder", "--data", data, "--preset", "small") == 0
            assert main(["encode", str(run)]) == 0
        own = {
            "autoencoder": ("--data", data, "--preset", "small"),
            "classifier": ("--data", data, "--set", "decay_learning_rate=false",
                           "--set", "hidden_units=4", "--batch", "4"),
        }  # fmt: skip
        assert train(run, stage, *own.get(stage, ()), "--steps", "4", *more) == 0
        return run

    return begin


def train(run, stage, *more):
    out = {
        "prior-top": ["prior", str(run), "--level", "top"],
        "classifier": ["classifier", "--out", str(run / "classifier")],
    }.get(stage, ["autoencoder", "--out", str(run)])
    often = ["--save-every", "0", "--log-every", "1", "--keep", "3"]
    return main(["--backend", "reference", "train", *out, *often, *more])


def settings(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_goes_on_as_it_is_told_and_says_so(begun, tmp_path, stage, capsys, monkeypatch):
    whole, parts = begun(stage), tmp_path / "parts"
    shutil.copytree(whole, parts)
    asked = ["--resume", *settings(*STAGES[stage])]
    assert train(whole, stage, *asked, "--steps", "8") == 0
    names = [pair.partition("=")[0] for pair in STAGES[stage]]
    error = capsys.readouterr().err
    assert "vqv2: from step 5 on " in error and all(f"{name} is " in error for name in names)
    with monkeypatch.context() as patch:
        step = loop.update
        patch.setattr(loop, "update", lambda *given: 1 // (given[1] != 7) and step(*given))
        with pytest.raises(ZeroDivisionError):
            train(parts, stage, *asked, "--steps", "8")
    assert train(parts, stage, "--resume") == 0  # goes on as it was told
    assert differences(whole / stage, parts / stage) == []
    log = read_log(whole / stage / "log.jsonl")
    (change,) = [line for line in log if line["split"] == "change"]
    assert change["step"] == 5
    for pair in STAGES[stage]:
        name, value = pair.split("=")
        assert change["changed"][name]["to"] == float(value) != change["changed"][name]["from"]
    rates = [line["learning_rate"] for line in log if line["split"] == "train"]
    assert len(rates) == 8 and all(rate > 1.5 * rates[-1] for rate in rates[1:4])
    assert train(whole, stage, "--resume", "--steps", "9", "--batch", "8") == 2
    assert "where batch is 4, not 8: only " in capsys.readouterr().err
    assert main(["doctor", str(whole / stage if stage == "classifier" else whole)]) == 0
    assert f"from step 5 on {names[0]} is " in capsys.readouterr().out


@pytest.mark.parametrize("stage", STAGES)
def test_a_change_is_kept_and_logged_once_where_a_kill_undoes_its_steps(
    begun, tmp_path, monkeypatch, stage
):
    run, killed = begun(stage), tmp_path / "killed"
    shutil.copytree(run, killed)
    asked = ["--resume", *settings(*STAGES[stage]), "--steps", "6"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_training", None)  # ends before the first checkpoint
        with pytest.raises(TypeError):
            train(killed, stage, *asked)
    assert train(run, stage, *asked) == train(killed, stage, "--resume") == 0
    assert differences(run / stage, killed / stage) == []


def test_the_length_of_a_cosine_is_changed_only_where_that_is_asked_for(begun, tmp_path, capsys):
    run = begun("autoencoder", *settings("decay_learning_rate=true"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert train(run, "autoencoder", "--resume", "--steps", "12") == 2
    error = capsys.readouterr().err
    assert "would have it leap from 0 to 0.00075 at step 5: ask for that with --set" in error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert train(run, "autoencoder", "--resume", "--steps", "3") == 0
    assert "has all its steps already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    opened = Run.open(run)
    long = dataclasses.replace(opened.config.autoencoder, steps=100_000)
    check_continues(  # where the rate hardly differs
        long, dataclasses.replace(long, steps=100_001), Namespace(settings=()), run / "autoencoder"
    )
    longer = dataclasses.replace(opened.config.autoencoder, steps=12)
    opened.config = opened.config.with_autoencoder(longer)
    sources = pipeline.open_splits(str(tmp_path / "images.npz"), longer)
    with pytest.raises(InputError, match="its steps is 4, not 12"):
        pipeline.train_autoencoder(opened, sources, resume=True, schedule=QUIET)
    for asked, rate in (
        ("learning_rate=1e-3", 0.5e-3 * (1 + np.cos(np.pi * 11 / 12))),
        ("decay_learning_rate=false", 1e-3),
    ):
        copy = tmp_path / asked
        shutil.copytree(run, copy)
        assert train(copy, "autoencoder", "--resume", "--steps", "12", *settings(asked)) == 0
        assert read_log(copy / "autoencoder" / "log.jsonl")[-2]["learning_rate"] == (
            pytest.approx(rate)
        )


def test_the_advice_on_a_loss_that_is_no_number_can_be_followed(begun, capsys):
    run = begun("autoencoder")
    more = ("--resume", "--steps", "9", "--save-every", "600")
    with np.errstate(all="ignore"):
        assert train(run, "autoencoder", *more, *settings("learning_rate=1e30")) == 2
    advice = capsys.readouterr().err
    assert "lower the learning rate (--resume --set learning_rate=..., now 1e+30)" in advice
    assert train(run, "autoencoder", *more, *settings("learning_rate=1e-4")) == 0
    changed = [line["changed"] for line in read_log(run / "autoencoder" / "log.jsonl")
               if "changed" in line]  # fmt: skip
    assert changed == [{"learning_rate": {"from": 1e-3, "to": 1e-4}}]


def test_there_is_a_way_back_from_a_checkpoint_that_diverges_at_any_rate(begun, capsys):
    run = begun("autoencoder")
    more = ("--resume", "--steps", "9")
    with np.errstate(all="ignore"):
        assert (
            train(run, "autoencoder", "--resume", "--steps", "5", *settings("learning_rate=1e25"))
            == 0
        )
        assert train(run, "autoencoder", *more, *settings("learning_rate=1e-4")) == 2
    newest = run / "autoencoder" / "checkpoint.safetensors"
    advice = capsys.readouterr().err
    assert f"move {newest} away: --resume then goes on from checkpoint-4.safetensors" in advice
    newest.unlink()
    assert train(run, "autoencoder", *more, *settings("learning_rate=1e-4")) == 0


def test_steps_that_float16_left_out_are_counted_in_any_precision(begun, monkeypatch):
    monkeypatch.setattr("vqv2.optim.FIRST", 2.0**30)
    run, left_out = begun("autoencoder"), []
    for steps, precision in ((6, "float16"), (7, "bfloat16"), (8, "float32"), (9, "float16")):
        more = ("--resume", "--steps", str(steps), "--precision", precision)
        assert train(run, "autoencoder", *more) == 0
        arrays, metadata = checkpoint.load(run / "autoencoder" / "checkpoint.safetensors")
        assert metadata["config"]["precision"] == precision
        scale, _, skipped = arrays["loss_scale"]
        assert bool(scale > 2**20) is (precision == "float16")
        left_out.append(skipped)
    assert left_out == [2, 2, 2, 3]


def test_from_python_a_change_has_to_be_asked_for(begun, tmp_path):
    run = Run.open(begun("prior-top"))
    other = dataclasses.replace(run.config.prior("top"), dropout=0.5, steps=5)
    run.config = run.config.with_prior("top", other)
    with pytest.raises(InputError, match=r"its dropout is 0\.1, not 0\.5"):
        pipeline.train_prior(run, "top", resume=True, schedule=QUIET)
    pipeline.train_prior(run, "top", resume=True, schedule=QUIET, adjust=True)
    assert json.loads((run.folder / "prior-top/training.json").read_text())["config"] == (
        json.loads(json.dumps(dataclasses.asdict(other)))
    )
