"""The memory of a device is bounded, and what it takes is reported."""

import gc
import os

import pytest

import backends
from backends import BackendError
from backends.process import device_memory
from tests.small import AUTOENCODER, CONFIG, write_images
from vqv2 import pipeline
from vqv2.cli import processes
from vqv2.cli.main import main
from vqv2.run import Run
from vqv2.run.log import read_log
from vqv2.training import Schedule

SIZES = {"1GiB": 2**30, "0.5 gib": 2**29, "2MB": 2 * 10**6, "3000": 3000}


@pytest.fixture
def pool(device):
    """The device's pool, holding nothing that is free; afterwards without a limit.

    CuPy looks at the limit when it asks the driver for memory, not when it finds some in the pool.
    """
    pool = device.get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()
    yield pool
    pool.set_limit(size=0)


def test_limits_are_read(pool, device):
    for text, size in SIZES.items():
        assert backends.limit_memory(text) == pool.get_limit() == size
    _, total = device.cuda.runtime.memGetInfo()
    assert backends.limit_memory("50%") == pool.get_limit() == total // 2


@pytest.mark.parametrize("text", ["lots", "10 apples", "-1GiB", "", "0", "101%", "5000GiB"])
def test_other_limits_are_one_sentence(text, pool):
    with pytest.raises(BackendError, match="cannot be read|is not between 0 and the device's"):
        backends.limit_memory(text)
    assert pool.get_limit() == 0


def test_without_a_device_there_is_nothing_to_bound(capsys):
    with backends.use("numba"):
        assert backends.pool_bytes() is None
        with pytest.raises(BackendError, match="is for the backend cupy, not for numba"):
            backends.limit_memory("90%")
    assert main(["--backend", "numba", "--memory-limit", "90%", "info"]) == 2
    assert "a memory limit (90%) is for the backend cupy" in capsys.readouterr().err


def test_the_command_line_bounds_it(pool, capsys, monkeypatch, device):
    monkeypatch.delenv(device_memory.VARIABLE, raising=False)
    monkeypatch.setattr(backends, "device_description", lambda: "a device")
    assert main(["--backend", "cupy", "--memory-limit", "1GiB", "info"]) == 0
    assert pool.get_limit() == 2**30
    assert (
        device_memory.VARIABLE not in os.environ
    )  # where CuPy would find it, in processes to come
    assert main(["--backend", "cupy", "info"]) == 0
    _, total = device.cuda.runtime.memGetInfo()
    assert pool.get_limit() == int(0.95 * total)
    monkeypatch.setenv(device_memory.VARIABLE, "12345")  # CuPy has read it itself
    pool.set_limit(size=12345)
    assert main(["--backend", "cupy", "info"]) == 0
    assert pool.get_limit() == 12345


@pytest.mark.parametrize("limit", [[], ["--memory-limit", "1GiB"]])
def test_a_process_takes_its_device_before_the_memory_is_bounded(limit, device, monkeypatch):
    """Of several processes each has its own device, and CuPy bounds that of the current one."""
    steps = []
    monkeypatch.setattr(processes, "communicator_for", lambda command: steps.append("device"))
    monkeypatch.setattr(device_memory, "limit_memory", lambda limit: steps.append("limit"))
    monkeypatch.setattr(backends, "device_description", lambda: "a device")
    monkeypatch.delenv(device_memory.VARIABLE, raising=False)
    assert main(["--backend", "cupy", *limit, "info"]) == 0
    assert steps == ["device", "limit"]


def test_what_does_not_fit_is_one_sentence(pool, tmp_path, capsys):
    data = write_images(tmp_path / "images.npz", size=32)
    arguments = ["train", "autoencoder", "--data", data, "--out", str(tmp_path / "run")]
    arguments += ["--set", "image_size=32", "--set", "latent_sizes=8,16", "--steps", "2"]
    assert main(["--backend", "cupy", "--memory-limit", "100KB", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("vqv2: not enough memory (Out of memory allocating")


def test_the_training_log_reports_the_peak(pool, tmp_path):
    sources = pipeline.open_splits(write_images(tmp_path / "images.npz"), AUTOENCODER)
    run = Run.new(tmp_path / "run", CONFIG, sources["train"].class_names, "images.npz")
    run.save()
    schedule = Schedule(log_every=1, validate_every=9, progress=False)
    pipeline.train_autoencoder(run, sources, 0, False, schedule)
    log = [line for line in read_log(tmp_path / "run/autoencoder/log.jsonl") if "loss" in line]
    held = [line["device_memory_bytes"] for line in log if line["split"] == "train"]
    assert held[-1] == pool.total_bytes() > 0
    assert held == sorted(held)
