"""Two processes with half of every batch each: the same training as one, and nobody left behind."""

import itertools
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from backends import array_module
from tests import mpi
from tests.processes import await_moment, finish, is_gone
from tests.small import write_images
from tests.training import together
from vqv2 import presets
from vqv2.cli.main import main
from vqv2.errors import InputError
from vqv2.models.quantizer import Quantizer
from vqv2.optim import Adam
from vqv2.run import build_prior, checkpoint
from vqv2.run.log import read_log
from vqv2.training import parallel

PROGRAM = Path(together.__file__)
QUIET = 120.0  # seconds in which all processes must be gone once one is


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    """Folders of the same pipeline, in one process and in two; how often codes were (re)started."""
    if reason := mpi.why_missing():
        pytest.skip(reason)
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for folder in (one, two):
        write_images(folder / "images.npz", count=90)
    starts = []
    together_in_two = mpi.started(2, two, PROGRAM, "stages", two)
    with together_in_two as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "PRESETS", dict(presets.PRESETS))
        patch.setattr(together, "PRESETS", presets.PRESETS)
        choose = Quantizer._choose
        patch.setattr(
            Quantizer, "_choose", lambda *given: starts.append(given[2]) or choose(*given)
        )
        together.stages(one)
        status, _, errors = finish(running)
    assert status == 0, mpi.said(two) + errors
    return one, two, starts


@pytest.mark.parametrize("stage", ["autoencoder", "prior-top", "prior-bottom"])
def test_fifty_steps_of_two_processes_are_those_of_one(one_and_two, stage):
    one, two, starts = one_and_two
    arrays, metadata = checkpoint.load(one / "run" / stage / "checkpoint.safetensors")
    others, same = checkpoint.load(two / "run" / stage / "checkpoint.safetensors")
    assert metadata["step"] == same["step"] == together.STEPS
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        scale = np.abs(array).max() or 1
        np.testing.assert_allclose(others[name], array, atol=1e-4 * scale, rtol=0, err_msg=name)
    assert len(starts) > 2, "besides the first start of both levels, codes have restarted"
    if stage == "prior-bottom":
        assert any(name.endswith("normalization.variance") for name in arrays)


@pytest.mark.parametrize("stage", ["autoencoder", "prior-top", "prior-bottom"])
def test_the_log_says_the_same(one_and_two, stage):
    logs = [read_log(f / "run" / stage / "log.jsonl") for f in one_and_two[:2]]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
    for line, other in zip(*logs, strict=True):
        del line["split"], other["split"]
        line.pop("images_per_second", None), other.pop("images_per_second", None)
        assert other == pytest.approx(line, rel=1e-4)


def test_codes_and_samples_are_the_same(one_and_two):
    one, two, _ = one_and_two
    files = sorted(path.name for path in (one / "run" / "codes").glob("*.npy"))
    assert "train-bottom.npy" in files and "train-labels.npy" in files
    for name in files:
        ours, theirs = (np.load(f / "run" / "codes" / name) for f in (one, two))
        assert (ours == theirs).mean() > 0.99, name  # where rounding decided, another code is right
    assert (one / "samples.png").read_bytes() == (two / "samples.png").read_bytes()


@mpi.needs_mpi
def test_two_processes_scale_the_loss_of_float16_alike(tmp_path):
    """They leave out the same steps, or they would not stay equal, and go on with their scale."""
    logs = []
    for size in (1, 2):
        folder = tmp_path / str(size)
        folder.mkdir()
        write_images(folder / "images.npz", count=90)
        status, said = mpi.run(size, folder, "-W", "error", PROGRAM, "half", folder)
        assert status == 0, said
        stages = [folder / "run" / stage for stage in ("autoencoder", "prior-top", "prior-bottom")]
        logs.append([read_log(stage / "log.jsonl") for stage in stages])
    for one, two in zip(*logs, strict=True):
        one, two = ([line for line in log if line["split"] == "train"] for log in (one, two))
        assert [line["step"] for line in two] == list(range(1, 25))
        scales = [line["loss_scale"] for line in two]
        assert scales == [2.0 ** (30 - line["skipped_steps"]) for line in two]
        assert all(before / after in (1, 2) for before, after in itertools.pairwise(scales))
        assert 1 <= one[-1]["loss_scale"] / scales[-1] <= 4  # half a batch has larger gradients
        assert two[-1]["loss"] == pytest.approx(one[-1]["loss"], rel=0.1)


@mpi.needs_mpi
def test_batch_statistics_replicas_and_gradients(tmp_path):
    status, said = mpi.run(2, tmp_path, PROGRAM, "pieces")
    assert (status, said.strip()) == (0, "all is well")


def started(folder, fault):
    write_images(folder / "images.npz")
    return mpi.started(2, folder, PROGRAM, "train", folder, fault)


def wait_for(path, process):
    assert await_moment(process, path.exists), process.stderr.read()


def number_of(folder, rank):
    return int((folder / f"process-{rank}").read_text())


def goes_on_from(folder, step):
    """Whether one process alone can continue the checkpoint, and at which step it was."""
    path = folder / "run" / "autoencoder" / "checkpoint.safetensors"
    found = checkpoint.load(path)[1]["step"]
    command = ("train", "autoencoder", "--out", str(folder / "run"), "--resume")
    assert main([*command, "--steps", str(found + 2)]) == 0
    return found >= step and checkpoint.load(path)[1]["step"] == found + 2


@mpi.needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_ends_the_other_and_leaves_a_checkpoint(tmp_path, rank):
    with started(tmp_path, "none") as process:
        wait_for(tmp_path / "run" / "autoencoder" / "checkpoint.safetensors", process)
        os.kill(number_of(tmp_path, rank), signal.SIGKILL)
        status, output, errors = finish(process, QUIET)
        assert is_gone(number_of(tmp_path, 0)) and is_gone(number_of(tmp_path, 1))
    assert status != 0
    assert (output + errors + mpi.said(tmp_path)).strip()  # who says it is a race
    assert goes_on_from(tmp_path, 1)


@mpi.needs_mpi
def test_a_process_that_fails_says_so_and_ends_the_other(tmp_path):
    with started(tmp_path, "broken data") as process:
        status, _, _ = finish(process)
    assert status != 0
    said = mpi.said(tmp_path)
    assert "process 1 of 2: Traceback" in said
    assert "RuntimeError: a file came back as nonsense" in said


@mpi.needs_mpi
def test_a_full_disk_is_one_sentence_and_ends_all(tmp_path):
    with started(tmp_path, "full disk") as process:
        status, _, _ = finish(process)
    assert status != 0
    said = mpi.said(tmp_path)
    assert said.count("No space left on device") == 1
    assert "Traceback" not in said


@mpi.needs_mpi
def test_ctrl_c_saves_once_for_all(tmp_path):
    with started(tmp_path, "none") as process:
        # After a step of both: a process that has not begun its first one is ended at once.
        wait_for(tmp_path / "run" / "autoencoder" / "checkpoint.safetensors", process)
        process.send_signal(signal.SIGINT)
        status, _, _ = finish(process, QUIET)
    assert status != 0
    said = mpi.said(tmp_path)
    assert said.count("stopped and saved at step") == 1, said
    assert goes_on_from(tmp_path, 1)


@mpi.needs_mpi
def test_wrong_arguments_are_one_sentence(tmp_path):
    write_images(tmp_path / "images.npz")
    status, said = mpi.run(2, tmp_path, PROGRAM, "refused", tmp_path)
    assert status == 2
    assert said.count("a batch of 5 cannot be divided among 2 processes") == 1, said
    assert not (tmp_path / "run").exists()


@mpi.needs_mpi
def test_processes_that_would_not_do_the_same_do_nothing(tmp_path):
    status, said = mpi.run(2, tmp_path, PROGRAM, "disagree", tmp_path)
    assert (status, said.strip()) == (0, "all is well")


@mpi.needs_mpi
def test_other_images_in_one_process_are_one_sentence_and_end_all(tmp_path):
    write_images(tmp_path / "images.npz")
    status, said = mpi.run(2, tmp_path, PROGRAM, "other", tmp_path)
    assert status == 2 and "Traceback" not in said
    assert said.count("process 1 of 2 has another checksum of train images than process 0") == 1
    assert not (tmp_path / "run").exists()


def test_a_command_that_is_not_shared_says_so(monkeypatch, capsys):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    with pytest.raises(SystemExit):  # it is the launcher's processes that end
        main(["info", "--preset", "demo"])
    assert "only train autoencoder, train prior, encode and sample share" in capsys.readouterr().err


class Two:
    """A process of several whose peers have the same arrays as it."""

    def __init__(self, rank, size=2):
        self.rank = rank
        self.size = size

    def all_gather(self, array):
        """The array as often as there are processes."""
        return array_module(array).stack([array] * self.size)

    def broadcast(self, array):
        """A copy."""
        return array.copy()


def test_a_whole_training_is_replicated_on_whatever_computes():
    """Arrays where the backend has them, counters on the host: none is left out or moved."""
    model = build_prior(presets.PRESETS["demo"], "bottom", 3, 0)
    model.distribute(Two(1))
    task = type("Task", (), {"model": model, "optimizer": Adam(model.parameters(), 0.5)})
    before = [array.copy() for array in parallel._state(task)]
    assert parallel.replicate(task, 7, Two(1)) == task.optimizer.steps == 7
    for array, former in zip(parallel._state(task), before, strict=True):
        assert type(array) is type(former) and (array == former).all()
    parallel.check_replicas(model, 7, Two(1))


def test_shares_are_equal_and_cover_the_batch():
    shares = [range(12)[parallel.share(12, Two(rank, 3))] for rank in range(3)]
    assert [list(s) for s in shares] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    with pytest.raises(InputError, match="multiple of 3"):
        parallel.share(10, Two(0, 3))


def test_few_indices_are_everyones():
    own, others = parallel.divide(np.arange(1), Two(1))
    assert list(own) == [0] and others.size == 1
    own, others = parallel.divide(np.arange(5), Two(1))
    assert list(own) == [3, 4] and others.size == 2
