"""`vqv2 doctor` on run folders in every state."""

import dataclasses
import json
import shutil

import pytest

from tests.small import AUTOENCODER, CONFIG, train_all, write_images
from vqv2 import pipeline
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.run import Run
from vqv2.run.lock import locked
from vqv2.training import Schedule

QUIET = Schedule(log_every=1, validate_every=2, checkpoint_seconds=0, progress=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run, _ = train_all(tmp_path_factory.mktemp("doctor"), QUIET)
    return run.folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def doctor(run, capsys, *more):
    """(exit status, {part: what is said about it}, [next command])."""
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    status = main(["doctor", str(run), *more])
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before  # nothing is changed
    text, _, rest = capsys.readouterr().out.partition("\nnext:\n")
    parts, part = {}, ""
    for line in text.splitlines():
        part = line.split()[0] if line and line[0] != " " else part
        parts[part] = parts.get(part, "") + line + "\n"
    return status, parts, [line.strip() for line in rest.splitlines()]


def damage(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 8
    path.unlink()
    path.write_bytes(data)


def test_a_finished_run(run, capsys):
    status, parts, commands = doctor(run, capsys)
    assert (status, commands) == (0, [])
    assert "complete: 6 steps" in parts["autoencoder"]
    assert "best.safetensors (step" in parts["autoencoder"]
    assert "lowest held-out loss" in parts["prior-top"]
    assert "complete: 23 train, 1 held out images" in parts["codes"]


def test_a_run_that_has_only_begun(run, capsys):
    for name in ("codes", "prior-top", "prior-bottom"):
        shutil.rmtree(run / name)
    status, parts, commands = doctor(run, capsys)
    assert (status, commands) == (0, [f"vqv2 encode {run}"])
    assert "not extracted" in parts["codes"] and "not begun" in parts["prior-top"]
    for path in (run / "autoencoder").glob("*.safetensors"):
        path.unlink()
    status, parts, commands = doctor(run, capsys)
    assert "begun, but no checkpoint was written yet" in parts["autoencoder"]
    assert commands == [f"vqv2 train autoencoder --out {run} --resume"]


def test_a_killed_training(run, capsys):
    folder = run / "prior-top"
    (folder / "checkpoint.safetensors").unlink()
    (folder / "best.safetensors").unlink()
    (folder / "checkpoint-4.safetensors").rename(folder / "checkpoint.safetensors")
    (folder / ".checkpoint.safetensors.12.partial").write_bytes(bytes(4000))
    (folder / ".checkpoint.safetensors.12.partial.x.partial").mkdir()
    (folder / ".checkpoint.safetensors.12.partial.x.partial" / ".tmp").write_bytes(bytes(1000))
    status, parts, commands = doctor(run, capsys)
    assert status == 0
    assert "stopped at step 4 of 5" in parts["prior-top"]
    assert "was ended at step 5 or later" in parts["prior-top"]
    assert "left 5.0 kB half written" in parts["prior-top"]
    assert commands == [f"vqv2 train prior {run} --level top --resume"]


def test_a_training_that_is_running(run, capsys):
    with open(run / "prior-top" / "log.jsonl", "a") as log:
        log.write('{"step": 99, "split": "train"}\n')
    with locked(run / "prior-top"):
        _, parts, commands = doctor(run, capsys)
    assert "being trained now" in parts["prior-top"] and commands == []
    assert "was ended" not in parts["prior-top"] and "wait" in parts  # the last word
    assert "was ended at step 99" in doctor(run, capsys)[1]["prior-top"]


def test_damaged_checkpoints(run, capsys):
    damage(run / "autoencoder" / "checkpoint.safetensors")
    status, parts, commands = doctor(run, capsys)
    assert status == 1
    assert "DAMAGED" in parts["autoencoder"] and "goes on from checkpoint-5" in parts["autoencoder"]
    assert commands[0] == f"vqv2 train autoencoder --out {run} --resume"
    for path in (run / "autoencoder").glob("*.safetensors"):
        path.write_bytes(b"nothing")
    status, parts, commands = doctor(run, capsys)
    assert status == 1 and "no checkpoint is good" in parts["autoencoder"]
    assert "restore one from a copy, or remove" in parts["autoencoder"]


@pytest.mark.parametrize("stage", ["autoencoder", "prior-top"])
def test_a_checkpoint_of_another_stage_is_told_and_touches_nothing(run, capsys, stage):
    foreign = run / stage / "checkpoint.safetensors"
    foreign.unlink()
    shutil.copy(run / "prior-bottom" / "checkpoint.safetensors", foreign)
    status, parts, commands = doctor(run, capsys)
    assert status == 1 and list(parts)[:4] == ["autoencoder", "codes", "prior-top", "prior-bottom"]
    assert f"DAMAGED: {foreign} holds 'prior-bottom', not '{stage}'" in parts[stage]
    assert "move it to where it belongs" in parts[stage] and "goes on from" in parts[stage]
    assert "complete" in parts["prior-bottom"] and commands == []
    data = write_images(run.parent / "images.npz")
    resume = {
        "autoencoder": ("autoencoder", "--out", str(run), "--data", data, "--steps", "9"),
        "prior-top": ("prior", str(run), "--level", "top", "--steps", "9"),
    }[stage]
    if stage == "autoencoder":
        shutil.rmtree(run / "codes")  # with codes it would not be trained further anyway
    before = {p: p.read_bytes() for p in (run / stage).glob("*.safetensors")}
    assert main(["train", *resume, "--resume"]) == 2
    assert "holds 'prior-bottom'" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (run / stage).glob("*.safetensors")} == before


def test_the_configuration_of_an_unknown_autoencoder_does_not_hide_the_other_stages(run, capsys):
    path = run / "autoencoder" / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "config": {"wings": 2}}))
    status, parts, _ = doctor(run, capsys)
    assert status == 1 and f"DAMAGED: {path} cannot be used: there is no field" in str(parts)
    assert "complete" in parts["autoencoder"] and "complete" in parts["prior-bottom"]


@pytest.mark.parametrize(
    ("name", "value"), [("codebook_size", 13), ("latent_sizes", [2, 8]), ("channels", 1)]
)
def test_a_configuration_that_the_autoencoder_was_not_trained_with(run, capsys, name, value):
    path = run / "autoencoder" / "training.json"
    content = json.loads(path.read_text())
    content["config"][name] = value
    path.write_text(json.dumps(content))
    status, parts, commands = doctor(run, capsys)
    assert (status, commands) == (1, [])
    assert f"was trained with {name} " in parts["autoencoder"]
    assert f"but {path} says" in parts["autoencoder"] and "restore the file" in parts["autoencoder"]
    assert "complete" in parts["prior-bottom"]
    with pytest.raises(InputError, match=f"was trained with {name} .* change it back"):
        Run.open(run).load_autoencoder()


@pytest.mark.parametrize("quick", [(), ("--quick",)])
@pytest.mark.parametrize(
    ("changes", "found", "said"),
    [
        ({"class_names": ["0", "1", "2", "3"]}, "3 of {} is missing", " it is '3'"),
        ({"class_names": ["0", "1"]}, "2 of {} is '2'", " it is missing"),
        ({"class_names": ["0", "2", "1"]}, "1 of {} is '1'", " it is '2'"),
        ({"class_names": []}, "0 of {} is '0'", " it is missing"),
        ({"conditional": False}, "0 of {} is '0'", " it is missing"),
    ],
)
def test_other_classes_than_a_run_was_trained_with(run, capsys, changes, found, said, quick):
    change_config(run, changes)
    status, parts, commands = doctor(run, capsys, *quick)
    assert (status, commands) == (1, [])
    unconditional = "conditional" in changes  # then only priors have to do with classes
    for part in ("autoencoder", "prior-top", "prior-bottom"):
        learned = "images" if part == "autoencoder" else "codes"
        subject = f"the {learned} that {run / part / 'checkpoint.safetensors'} has learned"
        message = f"class {found.format(subject)}, but in {run / 'config.json'}{said}: change"
        told = f"DAMAGED: {message}" in parts[part] and "of another configuration" in parts[part]
        assert told is not (unconditional and part == "autoencoder")
    subject = f"the images in {run / 'codes'}"
    of_codes = f"class {found.format(subject)}"
    assert (of_codes in parts["codes"]) is not (quick or unconditional)
    with pytest.raises(InputError, match="has learned is .* change class_names and conditional"):
        Hierarchy.load(run)


def test_a_prior_without_classes_in_a_run_with_classes(tmp_path, capsys):
    data = write_images(tmp_path / "images.npz")
    sources = pipeline.open_splits(data, AUTOENCODER)
    run = Run.new(tmp_path / "run", dataclasses.replace(CONFIG, conditional=False), (), data)
    run.save()
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    pipeline.train_prior(run, "top", schedule=QUIET)
    assert doctor(run.folder, capsys)[0] == 0
    change_config(run.folder, {"conditional": True, "class_names": ["0", "1", "2"]})
    status, parts, _ = doctor(run.folder, capsys)
    assert status == 1 and "has learned is missing, but" in parts["prior-top"]
    assert "DAMAGED" not in parts["codes"] and "DAMAGED" not in parts["prior-bottom"]


def change_config(run, changes):
    path = run / "config.json"
    content = json.loads(path.read_text())
    content.update({name: changes[name] for name in changes if name == "class_names"})
    content["config"].update({name: changes[name] for name in changes if name == "conditional"})
    path.write_text(json.dumps(content))


def test_half_extracted_and_damaged_codes(run, capsys):
    (run / "codes").rename(run / "codes.partial")
    (run / "codes.partial" / "manifest.json").unlink()
    status, parts, commands = doctor(run, capsys)
    assert status == 0 and "half extracted" in parts["codes"]
    assert commands == [f"vqv2 encode {run}"]
    begun = run / "codes.partial" / "manifest.json"
    begun.write_text('{"settings": {"copies": 3, "seed": 0}}')
    assert doctor(run, capsys)[2] == [f"vqv2 encode {run} --copies 3"]
    begun.unlink()
    (run / "codes.partial").rename(run / "codes")
    status, parts, commands = doctor(run, capsys)
    assert status == 1 and "DAMAGED" in parts["codes"] and commands == [f"vqv2 encode {run}"]


def test_damaged_codes_are_made_again_as_they_were(run, capsys):
    sources = pipeline.open_splits(write_images(run.parent / "images.npz"), AUTOENCODER)
    shutil.rmtree(run / "codes")
    pipeline.extract_codes(Run.open(run), sources, progress=False, copies=2, seed=5)
    (run / "codes" / "train-labels.npy").write_bytes(b"")
    assert doctor(run, capsys)[2] == [f"vqv2 encode {run} --copies 2 --seed 5"]


def test_codes_and_priors_of_another_autoencoder(run, finished, capsys):
    sources = pipeline.open_splits(write_images(run.parent / "images.npz"), AUTOENCODER)
    swapped = {"train": sources["held_out"], "held_out": sources["train"]}
    shutil.rmtree(run / "codes")  # while they are there, others are refused
    pipeline.extract_codes(Run.open(run), swapped, progress=False)
    _, parts, commands = doctor(run, capsys)
    assert "of other codes than those that are in this run now" in parts["prior-top"]
    shutil.rmtree(run / "codes")
    shutil.copytree(finished / "codes", run / "codes")
    shutil.rmtree(run / "autoencoder")
    other = Run.open(run)
    pipeline.train_autoencoder(other, sources, seed=1, schedule=QUIET)
    status, parts, commands = doctor(run, capsys)
    assert "of another autoencoder" in parts["codes"] and commands == [f"vqv2 encode {run}"]
    assert status == 0


def test_quick_reads_no_contents(run, capsys):
    damage(run / "prior-top" / "checkpoint.safetensors")
    status, parts, _ = doctor(run, capsys, "--quick")
    assert status == 0 and "complete" in parts["prior-top"] and "--quick" in parts["codes"]


def test_a_damaged_configuration_is_told_with_what_helps(run, capsys):
    (run / "config.json").write_text("{")
    status, parts, _ = doctor(run, capsys)
    assert status == 1 and f"{run / 'config.json'} cannot be read" in parts["configuration"]
    assert "--resume" in parts["configuration"] and "remove config.json" in parts["configuration"]


@pytest.mark.parametrize(
    "change",
    [None, {"seed": "3"}, {"config": None}, {"schedule": []}, {"config": {"wings": 2}},
     {"stage": "prior-bottom"}],
)  # fmt: skip
def test_a_damaged_stage_record_is_told_and_stops_nobody_else(run, capsys, change):
    path = run / "prior-top" / "training.json"
    content = json.loads(path.read_text())
    path.write_text("{" if change is None else json.dumps({**content, **change}))
    status, parts, _ = doctor(run, capsys)
    assert status == 1 and f"DAMAGED: {path} " in parts["prior-top"]
    assert "remove it, and give the command" in parts["prior-top"]
    assert all("DAMAGED" not in parts[part] for part in ("autoencoder", "codes", "prior-bottom"))
    further = ["train", "prior", str(run), "--resume", "--steps", "6", "--level"]
    assert main([*further, "top"]) == 2
    assert str(path) in capsys.readouterr().err
    assert main([*further, "bottom"]) == 0
    sample = ["sample", str(run), "--count", "1", "--out", str(run.parent / "one.png")]
    assert main(sample) == 0


def test_a_damaged_stage_record_is_damage_and_a_folder_that_is_no_run_a_mistake(run, capsys):
    (run / "autoencoder" / "training.json").write_text("{")
    assert doctor(run, capsys)[0] == 1
    assert main(["doctor", str(run.parent)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
