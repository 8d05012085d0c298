"""Going on: by the same command, from older checkpoints, in folders of older versions."""

import dataclasses
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.small import AUTOENCODER, CONFIG, write_images
from tests.training.killed import differences
from vqv2 import Hierarchy, pipeline
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.run import Run, checkpoint, lock
from vqv2.run.lock import is_locked, locked
from vqv2.run.log import read_log
from vqv2.run.rules import check_train
from vqv2.training import Schedule

QUIET = Schedule(log_every=1, validate_every=2, checkpoint_seconds=0, keep=3, progress=False)


@pytest.fixture
def sources(tmp_path):
    return pipeline.open_splits(write_images(tmp_path / "images.npz"), AUTOENCODER)


def run_of(folder, sources, steps=6):
    config = dataclasses.replace(CONFIG, autoencoder=dataclasses.replace(AUTOENCODER, steps=steps))
    run = Run.new(folder, config, sources["train"].class_names, "images.npz")
    run.save()
    return run


def damage(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 16
    path.unlink()
    path.write_bytes(data)


def test_after_a_damaged_newest_the_end_is_the_same(tmp_path, sources, capsys):
    whole, hurt = run_of(tmp_path / "whole", sources), run_of(tmp_path / "hurt", sources)
    for run in (whole, hurt):
        pipeline.train_autoencoder(run, sources, schedule=QUIET)
    damage(hurt.checkpoint_path("autoencoder"))
    pipeline.train_autoencoder(hurt, sources, resume=True, schedule=QUIET)
    error = capsys.readouterr().err
    assert f"{hurt.checkpoint_path('autoencoder')} is damaged" in error
    assert "going on from" in error and "checkpoint-5.safetensors, of step 5" in error
    assert differences(whole.folder, hurt.folder) == []


def test_codes_stay_good_when_their_damaged_autoencoder_is_trained_again(tmp_path, sources):
    run = run_of(tmp_path / "run", sources)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    damage(run.checkpoint_path("autoencoder"))
    check_train(run, "autoencoder", resume=True)
    pipeline.train_autoencoder(run, sources, resume=True, schedule=QUIET)
    pipeline.train_prior(run, "top", schedule=QUIET)
    check_train(run, "autoencoder", resume=True)  # has nothing to do
    more = dataclasses.replace(run.config.autoencoder, steps=7)
    run.config = run.config.with_autoencoder(more)
    with pytest.raises(InputError, match="make useless"):
        check_train(run, "autoencoder", resume=True)


def test_the_best_is_the_one_of_the_lowest_held_out_loss(tmp_path, sources):
    run = run_of(tmp_path / "run", sources, steps=8)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    folder = run.stage_folder("autoencoder")
    lines = [line for line in read_log(folder / "log.jsonl") if line["split"] == "held_out"]
    lowest = min(lines, key=lambda line: line["loss"])
    metadata = checkpoint.read_metadata(folder / "best.safetensors")
    assert metadata["best"] == {"step": lowest["step"], "loss": lowest["loss"]}
    assert metadata["step"] == lowest["step"]


def test_a_prior_can_be_used_as_it_was_at_its_best(tmp_path, sources):
    run = run_of(tmp_path / "run", sources, steps=1)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    pipeline.train_prior(run, "top", schedule=QUIET)
    folder = run.stage_folder("prior-top")
    arrays, metadata = checkpoint.load(folder / "best.safetensors")
    name = "embedding.table"
    arrays[f"average.{name}"] += 1  # as if training had gone wrong since
    checkpoint.save(folder / "best.safetensors", arrays, metadata)
    newest, best = (
        Hierarchy.load(run.folder, best=best).priors["top"].state()[name] for best in (False, True)
    )
    assert (best == arrays[f"average.{name}"]).all() and (newest != best).any()


def test_two_priors_begun_at_once_both_keep_their_configuration(tmp_path, sources):
    run = run_of(tmp_path / "run", sources, steps=1)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    processes = [Run.open(run.folder), Run.open(run.folder)]  # both have read config.json
    for process, level in zip(processes, ("top", "bottom"), strict=True):
        prior = dataclasses.replace(process.config.prior(level), steps=2, dropout=0.25)
        process.config = process.config.with_prior(level, prior)
        pipeline.train_prior(process, level, schedule=QUIET)
    again = Run.open(run.folder)
    assert [again.config.prior(level).dropout for level in ("top", "bottom")] == [0.25, 0.25]
    assert pipeline.train_prior(again, "top", resume=True, schedule=QUIET) == {}


def test_checkpoints_without_the_newest_are_not_begun_over(tmp_path, sources):
    run = run_of(tmp_path / "run", sources)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    run.checkpoint_path("autoencoder").unlink()  # as someone does with a damaged one
    before = sorted(run.folder.rglob("*"))
    for begin in (
        lambda: check_train(run, "autoencoder", resume=False),
        lambda: pipeline.train_autoencoder(run, sources, schedule=QUIET),
        lambda: Run.new(run.folder, CONFIG, (), "images.npz"),
    ):
        with pytest.raises(InputError, match="with --resume"):
            begin()
    assert sorted(run.folder.rglob("*")) == before


def test_a_log_with_strange_lines_can_be_gone_on_with(tmp_path, sources):
    run, other = run_of(tmp_path / "a", sources, steps=2), run_of(tmp_path / "b", sources, steps=2)
    for one in (run, other):
        pipeline.train_autoencoder(one, sources, schedule=QUIET)
    with open(other.stage_folder("autoencoder") / "log.jsonl", "a") as file:
        file.write('[1]\n7\n{"step": "x", "split": "train"}\n{"step": 1}\n{"split": 2}\n{"ste')
    for one in (run, other):
        longer = dataclasses.replace(one.config.autoencoder, steps=4)
        one.config = one.config.with_autoencoder(longer)
        pipeline.train_autoencoder(one, sources, resume=True, schedule=QUIET)
    assert differences(run.folder / "autoencoder", other.folder / "autoencoder") == []


def test_without_its_record_a_prior_goes_on_as_its_checkpoint_says(tmp_path, sources):
    whole, lost = run_of(tmp_path / "whole", sources), run_of(tmp_path / "lost", sources)
    for run in (whole, lost):
        pipeline.train_autoencoder(run, sources, schedule=QUIET)
        pipeline.extract_codes(run, sources, progress=False)

    def train(run, steps, *more):
        command = ["train", "prior", str(run.folder), "--level", "top", "--resume", *more]
        return main([*command, "--steps", str(steps), "--save-every", "0", "--keep", "3"])

    begun = ("--set", "dropout=0.3", "--seed", "7")
    assert [train(run, steps, *begun) for run, steps in ((whole, 6), (lost, 3))] == [0, 0]
    for steps, more in ((4, begun), (6, ())):  # the same command again, and a short one
        (lost.folder / "prior-top" / "training.json").unlink()
        damage(lost.checkpoint_path("prior-top"))
        assert train(lost, steps, *more) == 0
    assert differences(whole.folder / "prior-top", lost.folder / "prior-top") == []


@pytest.mark.parametrize("schedule", [{"log_every": "often"}, {"wings": 2}])
def test_a_damaged_schedule_is_a_sentence(tmp_path, sources, capsys, schedule):
    run = run_of(tmp_path / "run", sources, steps=2)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    path = run.stage_folder("autoencoder") / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schedule": schedule}))
    command = ["train", "autoencoder", "--data", str(tmp_path / "images.npz"), "--resume"]
    assert main([*command, "--out", str(run.folder), "--steps", "3"]) == 2
    assert next(iter(schedule)) in capsys.readouterr().err


def test_a_second_process_in_the_same_folder_is_refused(tmp_path, sources):
    run = run_of(tmp_path / "run", sources)
    folder = run.stage_folder("autoencoder")
    assert not is_locked(folder)
    with locked(folder):
        assert is_locked(folder)
        with pytest.raises(InputError, match="another process works in"):
            pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)


def test_codes_are_not_extracted_from_an_autoencoder_in_training(tmp_path, sources, monkeypatch):
    run = run_of(tmp_path / "run", sources, steps=2)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    with (
        locked(run.stage_folder("autoencoder")),
        pytest.raises(InputError, match=r"autoencoder in .* is being trained now: wait for"),
    ):
        pipeline.extract_codes(run, sources, progress=False)
    with locked(run.folder):  # as whoever extracts has it
        check_train(run, "autoencoder", resume=True)  # has nothing to do
        run.config = run.config.with_autoencoder(dataclasses.replace(AUTOENCODER, steps=3))
        for stage in run.stages:
            with pytest.raises(InputError, match="codes are being extracted in .* now: wait for"):
                check_train(run, stage, resume=True)
    check_train(run, "autoencoder", resume=True)


def test_who_looks_for_a_process_does_not_pass_for_one(tmp_path):
    with locked(tmp_path):
        pass
    with open(tmp_path / ".lock", "r+") as file:
        assert lock._lock(file, shared=True)
        assert not is_locked(tmp_path)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path, sources):
    run = run_of(tmp_path / "run", sources)
    folder = run.stage_folder("autoencoder")
    folder.mkdir()
    left = folder / ".checkpoint.safetensors.123.partial"
    left.write_text("half")
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    assert not left.exists()


def folders_of_images(path, size=16):
    rng = np.random.default_rng(0)
    for number in range(30):
        file = path / "abc"[number % 3] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size, size + 4, 3), dtype=np.uint8)).save(file)
    return path


def test_data_that_was_moved_is_gone_on_with_but_not_other_data(tmp_path, capsys):
    """The whole way of the command line: the autoencoder, and codes that are there already."""
    run, former = tmp_path / "run", folders_of_images(tmp_path / "photos")
    assert main(command(str(former), run)) == 0
    moved = former.rename(tmp_path / "elsewhere")
    further = ["train", "autoencoder", "--out", str(run), "--resume", "--steps"]
    assert main([*further, "4"]) == 2  # where it was there is nothing
    assert main([*further, "4", "--data", str(moved)]) == 0
    assert Run.open(run).data == str(moved)
    assert main(["encode", str(run)]) == 0
    codes = (run / "codes" / "manifest.json").stat().st_mtime_ns
    moved = moved.rename(tmp_path / "again")
    assert main(["encode", str(run), "--resume", "--data", str(moved)]) == 0
    assert (run / "codes" / "manifest.json").stat().st_mtime_ns == codes
    shutil.rmtree(run / "codes")
    other = moved / "a" / "0.png"
    Image.new("RGB", (16, 16)).save(other)
    capsys.readouterr()
    assert main([*further, "5", "--data", str(moved)]) == 2
    assert "elsewhere, which it has learned from, had other images" in capsys.readouterr().err


def test_a_run_is_opened_or_begun(tmp_path, sources):
    config, images = CONFIG, str(tmp_path / "images.npz")
    begin = functools.partial(pipeline.open_or_begin, tmp_path / "run")
    assert begin(config, images, sources).class_names == ("0", "1", "2")
    run = begin(config, images, sources)  # begun, and nothing learned yet
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    content = (run.folder / "config.json").read_bytes()
    auto = config.with_autoencoder(dataclasses.replace(AUTOENCODER, precision="auto"))
    assert begin(auto, images, sources).config == config
    with pytest.raises(InputError, match="another run, with other settings: choose another folder"):
        begin(config.with_autoencoder(dataclasses.replace(AUTOENCODER, steps=9)), images, sources)
    others = pipeline.open_splits(write_images(tmp_path / "others.npz", count=30), AUTOENCODER)
    with pytest.raises(InputError, match=r"another run, of images\.npz: choose another folder"):
        begin(config, str(tmp_path / "others.npz"), others)
    assert (run.folder / "config.json").read_bytes() == content
    (tmp_path / "images.npz").rename(tmp_path / "moved.npz")
    moved = pipeline.open_splits(str(tmp_path / "moved.npz"), AUTOENCODER)
    assert Run.open(begin(config, tmp_path / "moved.npz", moved).folder).data.endswith("moved.npz")
    damage_header(run.checkpoint_path("autoencoder"))  # what comes before it is gone on from
    begin(config, tmp_path / "moved.npz", moved)


def damage_header(path):
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


def test_going_on_beside_codes_reads_a_header_only(tmp_path, sources, monkeypatch):
    run = run_of(tmp_path / "run", sources, steps=2)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    pipeline.extract_codes(run, sources, progress=False)
    further = run.config.with_autoencoder(dataclasses.replace(AUTOENCODER, steps=3))
    monkeypatch.setattr(checkpoint, "load", None)
    check_train(run, "autoencoder", resume=True)
    damage(run.checkpoint_path("autoencoder"))  # the steps before are what its codes are of
    check_train(run, "autoencoder", resume=True)
    run.config = further
    with pytest.raises(InputError, match="holds codes of this autoencoder"):
        check_train(run, "autoencoder", resume=True)


def command(data, run, *more):
    settings = [f for field in ("image_size=16", "latent_sizes=4,8", "hidden_units=64",
                                "residual_units=4", "codebook_size=12", "codebook_dimension=6",
                                "decay_learning_rate=false")
                for f in ("--set", field)]  # fmt: skip
    return ["--backend", "reference", "train", "autoencoder", "--data", data, "--out", str(run),
            "--batch", "4", "--steps", "3", "--save-every", "0", *settings, *more]  # fmt: skip


def test_the_same_command_begins_goes_on_and_has_nothing_left_to_do(tmp_path, capsys):
    data, run = write_images(tmp_path / "images.npz"), tmp_path / "run"
    same = command(data, run, "--resume", "--keep", "4", "--seed", "5")
    assert main(same) == 0
    assert main(same) == 0
    assert "has all its steps already" in capsys.readouterr().out
    config = (run / "config.json").read_bytes()
    (run / "config.json").unlink()  # it was lost
    assert main(same) == 0 and (run / "config.json").read_bytes() == config
    begun = json.loads((run / "autoencoder" / "training.json").read_text())
    assert (begun["seed"], begun["schedule"]["keep"]) == (5, 4)
    assert main(["train", "autoencoder", "--out", str(run), "--resume", "--steps", "6"]) == 0
    assert len(list((run / "autoencoder").glob("checkpoint*"))) == 4
    assert checkpoint.read_metadata(run / "autoencoder/checkpoint.safetensors")["seed"] == 5
    other = ["train", "autoencoder", "--out", str(run), "--resume", "--set", "commitment=0.3"]
    assert main(other) == 2
    assert "where commitment is 0.25, not 0.3" in capsys.readouterr().err
    assert main([*same[:-5], "--resume", "--seed", "5", "--set", "bottom.dropout=0.3"]) == 2
    assert f"`vqv2 train prior {run} --level bottom`" in capsys.readouterr().err
    assert main([*same[:-5], "--resume", "--seed", "5", "--set", "conditional=false"]) == 2
    assert "with conditional True" in capsys.readouterr().err


def limited(size):
    """As if the disk had room for files of `size` bytes only."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def vqv2(arguments, **how):
    return subprocess.run(
        [sys.executable, "-m", "vqv2", *arguments], capture_output=True, text=True, **how
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_disk_without_room_leaves_the_last_good_state(tmp_path):
    data, run = write_images(tmp_path / "images.npz"), tmp_path / "run"
    assert vqv2(command(data, run, "--steps", "2")).returncode == 0
    folder = run / "autoencoder"
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    more = [*command(data, run, "--resume"), "--steps", "4"]
    result = vqv2(more, preexec_fn=limited(100_000))
    assert result.returncode == 2
    assert "cannot write" in result.stderr and "nothing was overwritten" in result.stderr
    assert "Traceback" not in result.stderr
    after = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    assert {name: after[name] for name in before} == before
    assert not list(folder.glob("*.partial")) and not list(folder.glob(".*.partial"))
    assert vqv2(more).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_may_not_be_written_in_stops_before_the_first_step(tmp_path, sources):
    run = run_of(tmp_path / "run", sources)
    run.folder.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot write in .*: Permission denied"):
            pipeline.train_autoencoder(run, sources, schedule=QUIET)
    finally:
        run.folder.chmod(0o700)


@pytest.mark.parametrize("name", ["checkpoint-3.safetensors", "best.safetensors", "log.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_found_before_the_work(tmp_path, sources, name):
    run = run_of(tmp_path / "run", sources, steps=4)
    (run.stage_folder("autoencoder") / name).mkdir(parents=True)
    for resume in (False, True):
        with pytest.raises(InputError, match=f"{name} is a folder, where a file is to be written"):
            pipeline.train_autoencoder(run, sources, resume=resume, schedule=QUIET)
    assert [path.name for path in run.stage_folder("autoencoder").iterdir()] == [name]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
        (Path.touch, "a file"),
    ],
)
def test_what_is_no_folder_is_named_before_the_work(tmp_path, sources, capsys, make, what):
    make(tmp_path / "out")
    out = tmp_path / "out" / "run"
    assert main(command(str(tmp_path / "images.npz"), out)) == 2
    error = capsys.readouterr().err
    assert f"cannot write in {out / 'autoencoder'}: {tmp_path / 'out'} is {what}" in error
    if what == "a link that leads nowhere":
        assert main(command(str(tmp_path / "images.npz"), tmp_path / "out")) == 2
        assert f"{tmp_path / 'out'} is {what}" in capsys.readouterr().err


def test_codes_that_are_there_are_not_extracted_again(tmp_path, sources, monkeypatch):
    run = run_of(tmp_path / "run", sources, steps=1)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    store = pipeline.extract_codes(run, sources, progress=False, resume=True)
    made = []
    monkeypatch.setattr(pipeline, "encode_dataset", lambda *_, **how: made.append(how["copies"]))
    again = pipeline.extract_codes(run, sources, progress=False, resume=True)
    assert again.checksum == store.checksum and made == []
    pipeline.extract_codes(run, sources, progress=False, resume=True, copies=2)
    pipeline.extract_codes(run, sources, progress=False)
    assert made == [2, 1]


def test_codes_that_a_prior_has_learned_are_not_replaced_by_others(tmp_path, sources):
    run = run_of(tmp_path / "run", sources, steps=1)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    checksum = pipeline.extract_codes(run, sources, progress=False).checksum
    pipeline.train_prior(run, "top", schedule=QUIET)
    for resume in (False, True):
        with pytest.raises(InputError, match="has learned the codes that are in"):
            pipeline.extract_codes(run, sources, progress=False, copies=2, resume=resume)
    assert pipeline.extract_codes(run, sources, progress=False).checksum == checksum
    (run.codes_folder / "train-top.npy").write_bytes(b"damaged")  # there is nothing to lose now
    assert pipeline.extract_codes(run, sources, progress=False).checksum == checksum
    with locked(run.stage_folder("prior-top")), pytest.raises(InputError, match="is being tr"):
        pipeline.extract_codes(run, sources, progress=False)
    shutil.rmtree(run.stage_folder("prior-top"))
    pipeline.extract_codes(run, sources, progress=False, copies=2)


def test_two_processes_do_not_extract_at_once(tmp_path, sources):
    run = run_of(tmp_path / "run", sources, steps=1)
    pipeline.train_autoencoder(run, sources, schedule=QUIET)
    with locked(run.folder), pytest.raises(InputError, match="another process works in"):
        pipeline.extract_codes(run, sources, progress=False)
