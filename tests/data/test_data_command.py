"""`vqv2 data`: what it prints and draws, and that its complaints are one sentence."""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes import await_moment, finish, is_gone, started
from tests.small import AUTOENCODER
from vqv2.cli.main import main
from vqv2.data import index as index_module
from vqv2.data.images import open_images
from vqv2.errors import InputError
from vqv2.lab.bench.loading import loading, waiting
from vqv2.models.autoencoder import Autoencoder
from vqv2.presets import PRESETS
from vqv2.run.code_writing import write_codes
from vqv2.run.codes import open_codes
from vqv2.training import AutoencoderTask


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "photos" / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (72, 80, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def vqv2(*arguments):
    return main([str(argument) for argument in arguments])


def test_index_says_what_there_is(photos, capsys, monkeypatch, tmp_path):
    (photos / "class0" / "bad.png").write_bytes(b"no image at all")
    assert vqv2("data", "index", photos) == 0
    printed = capsys.readouterr().out
    assert "24 images of 25 files in 4 folders" in printed and "72 to 72 pixels" in printed
    assert "bad.png: it is not an image" in printed and "fewer than 1000 files" in printed
    monkeypatch.setattr(index_module, "KEPT_FROM", 1)
    monkeypatch.setattr("vqv2.cli.data.KEPT_FROM", 1)
    monkeypatch.setenv("VQV2_CACHE", str(tmp_path / "cache"))
    assert vqv2("data", "index", photos, "--rebuild") == 0
    assert f"kept in {tmp_path / 'cache'}" in capsys.readouterr().out
    monkeypatch.setenv("VQV2_CACHE", "off")
    assert vqv2("data", "index", photos) == 0
    assert "VQV2_CACHE is off" in capsys.readouterr().out


def test_splits_classes_and_what_is_odd_are_said_by_index_and_before_training(
    photos, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "split"
    for name in ("Train", "valid", "test"):
        shutil.copytree(photos, folder / name)
    shutil.copy(photos / "class0" / "0.png", folder / "Train" / "stray.png")
    (folder / "Train" / "class0" / "bad.png").touch()
    for name in ("a.heic", "b.heic", "c.csv"):
        (folder / "valid" / name).touch()
    said = [
        "24 images of 3 classes: class0 8, class1 8, class2 8",
        "note: 24 images in test are not used, as valid is held out: they are for judging",
        "passed over: 2 .heic, 1 .csv; to have .heic read, convert them to PNG or JPEG",
        "2 files cannot be used and are left out",
        "bad.png: the file is empty (zero bytes)",
        "stray.png: it lies beside the class folders",
    ]
    assert vqv2("data", "index", folder) == 0
    printed = capsys.readouterr().out
    assert [line for line in said if line not in printed] == []
    assert "train (in Train): " in printed and "held out (in valid): " in printed

    def begin(*arguments, **options):
        raise InputError("it would be trained now")

    monkeypatch.setattr("vqv2.pipeline.train_autoencoder", begin)
    assert vqv2("train", "autoencoder", "--data", folder, "--out", tmp_path / "run") == 2
    printed, error = capsys.readouterr()
    assert "it would be trained now" in error
    assert [line for line in said if line not in printed] == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("emoji:100000", "cannot be drawn at the size 100000"),
        ("emoji:0", "the size of emoji:0 is 0"),
        ("fashion-mnist:BROKEN", "there is no folder BROKEN"),
        ("nothing.npy", "there is no file nothing.npy"),
    ],
)
def test_preview_gives_the_real_reason(data, reason, tmp_path, capsys):
    assert vqv2("data", "preview", data, "--out", tmp_path / "p.png") == 2
    assert reason in capsys.readouterr().err


def test_preview_shows_a_single_image(photos, tmp_path):
    data, out = photos / "class0" / "0.png", tmp_path / "p.png"
    assert vqv2("data", "preview", data, "--size", 64, "--out", out) == 0
    assert out.is_file()


def test_preview_has_a_row_for_each_part(photos, tmp_path):
    heights = {}
    for augmentation in ("none", "imagenet", "ffhq"):
        out = tmp_path / f"{augmentation}.png"
        assert vqv2("data", "preview", photos, "--augmentation", augmentation, "--size", 64,
                    "--count", 3, "--out", out) == 0  # fmt: skip
        with Image.open(out) as picture:
            heights[augmentation] = picture.height
    row = (heights["ffhq"] - heights["imagenet"]) / 4
    assert heights["imagenet"] - heights["none"] == pytest.approx(3 * row)
    assert heights["ffhq"] - heights["none"] == pytest.approx(7 * row)


def test_speed_prints_images_per_second_and_waiting(photos, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "demo", _small_demo())
    assert vqv2("data", "speed", photos, "--batches", 2, "--workers", 1, "--train") == 0
    printed = capsys.readouterr().out
    assert "read by 1 worker processes" in printed and "images/s" in printed
    assert "waiting for images" in printed


def _small_demo():
    import dataclasses

    config = dataclasses.replace(AUTOENCODER, image_size=32, latent_sizes=(4, 8))
    return PRESETS["demo"].with_autoencoder(config)


def test_a_slow_reader_is_seen_to_be_waited_for(photos):
    source = open_images(photos, 16, split="all")
    original = source.batch

    def slow(*arguments):
        time.sleep(0.2)
        return original(*arguments)

    source.batch = slow
    result = loading(source, 4, None, 3)
    # Two batches are read at a time, and two may be there when the time of the first one begins:
    # the third one's reading has begun after that, whenever this process was given the processor.
    assert len(result.seconds) == 3 and result.images_per_second <= 3 * 4 / 0.2
    model = Autoencoder(AUTOENCODER, np.random.default_rng(0))
    found = waiting(AutoencoderTask(model, source, source, 0), 4)
    assert len(found.step_seconds) == 4
    assert 0 < found.share <= 1 and (found.waited_seconds <= found.step_seconds).all()


def test_verify_names_what_is_damaged(tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    with write_codes(run / "codes", ("top",), (4,), {"train": 3}, (), "me", "it") as writer:
        writer.write("train", 0, {"top": np.ones((3, 4, 4), int)})
    monkeypatch.setattr("vqv2.cli.data.Run.open", lambda folder: _Run)
    _Run.codes_folder = run / "codes"
    assert vqv2("data", "verify", run) == 0
    assert "as they were written" in capsys.readouterr().out
    monkeypatch.setattr("vqv2.run.codes.VERIFIED_AT_ONCE", 0)
    content = bytearray((run / "codes" / "train-top.npy").read_bytes())
    content[-1] ^= 1
    (run / "codes" / "train-top.npy").write_bytes(content)
    open_codes(run / "codes")
    assert vqv2("data", "verify", run) == 2
    assert "train-top.npy is damaged" in capsys.readouterr().err


class _Run:
    codes_folder = None


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("index", "nowhere"), "there is no folder nowhere"),
        (("index", ".", "--workers", "-1"), "workers"),
        (("preview", "emoji:32", "--count", "0", "--out", "x.png"), "--count 0"),
        (("preview", "nothing", "--out", "x.png"), "does not exist"),
        (("speed", "emoji:64", "--preset", "demi"), "did you mean 'demo'"),
        (("speed", "emoji:64", "--batches", "0"), "--batches 0"),
        (("verify", "nowhere"), "not a run folder"),
    ],
)
def test_complaints_are_one_sentence(arguments, word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vqv2("data", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert word in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_in_a_training_with_workers_is_one_sentence_and_leaves_nobody(photos, tmp_path):
    """The terminal sends the signal to the whole process group."""
    arguments = ["train", "autoencoder", "--data", str(photos), "--out", str(tmp_path / "run")]
    small = {"image_size": "64", "hidden_units": "8", "residual_units": "4", "steps": "1000000"}
    for field, value in small.items():
        arguments += ["--set", f"{field}={value}"]
    arguments += ["--workers", "2", "--batch", "2"]
    log, workers = tmp_path / "run" / "autoencoder" / "log.jsonl", set()

    def both_workers_read():
        workers.update(_children(process.pid))
        return log.exists() and len(workers) == 2

    with started([sys.executable, "-m", "vqv2", *arguments], process_group=0) as process:
        assert await_moment(process, both_workers_read), process.stderr.read()
        os.killpg(process.pid, signal.SIGINT)
        status, _, error = finish(process)
    assert status == 130, error
    assert "Traceback" not in error and "saved at step" in error.splitlines()[-1]
    assert all(is_gone(worker) for worker in workers)


def _children(process):
    """The processes that any thread of this one has started."""
    found = set()
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found.update(map(int, task.read_text().split()))
    return found
