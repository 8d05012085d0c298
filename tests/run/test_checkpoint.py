"""Checkpoints: exact, atomic, and particular about what they read."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqv2 import nn
from vqv2.errors import InputError
from vqv2.files import remove_partial, tensors
from vqv2.run import checkpoint
from vqv2.run.checkpoint import Checkpoints, DamagedError

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
    "steps": np.array(7, dtype=np.int64),
    "empty": np.zeros((0, 3), np.float32),
}


def test_arrays_and_metadata_come_back(tmp_path):
    path = tmp_path / "new" / "c.safetensors"
    checkpoint.save(path, ARRAYS, {"step": 3, "name": "prior-top"})
    arrays, metadata = checkpoint.load(path)
    assert metadata == {"step": 3, "name": "prior-top"}
    assert list(arrays) and set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)


def test_who_uses_a_model_reads_and_verifies_what_it_consists_of(tmp_path, monkeypatch):
    path, layer = tmp_path / "c.safetensors", nn.Linear(2, 3, np.random.default_rng(0))
    state = layer.state()
    arrays = {f"{group}.{n}": a for group in ("average", "mean") for n, a in state.items()}
    checkpoint.save(path, arrays, {"step": 3})
    assert checkpoint.digest(path) == checkpoint.checksum(state)
    with tensors.open_tensors(path, "") as file:
        places = {group: file.entries[f"{group}.weight"].start for group in ("average", "mean")}
    read, whole = [], path.read_bytes()
    original = tensors.Tensors.read
    monkeypatch.setattr(tensors.Tensors, "read", lambda s, n: read.append(n) or original(s, n))
    for group, place in places.items():
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=f"its arrays {group} do not match"):
            checkpoint.load(path)
        if group == "average":
            with pytest.raises(DamagedError, match="its arrays average do not match"):
                checkpoint.load_model(nn.Linear(2, 3, None), path)
    read.clear()
    found = checkpoint.load_model(nn.Linear(2, 3, None), path)
    assert sorted(read) == ["average.bias", "average.weight"]
    assert checkpoint.checksum(found.state()) == checkpoint.digest(path)


def test_others_may_read_a_checkpoint_as_they_may_read_any_file(tmp_path):
    (tmp_path / "file").touch()
    checkpoint.save(tmp_path / "c.safetensors", ARRAYS, {})
    assert (tmp_path / "c.safetensors").stat().st_mode == (tmp_path / "file").stat().st_mode


@pytest.mark.parametrize("damage", ["truncate", "flip", "metadata", "empty", "text"])
def test_damage_is_noticed(tmp_path, damage):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": np.arange(1000, dtype=np.float32)}, {"stage": "prior-top"})
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        data = data[:-100]
    if damage == "metadata":
        data[data.index(b"prior-top")] ^= 1
    if damage == "flip":
        data[-100] ^= 1
    path.write_bytes({"empty": b"", "text": b"not a checkpoint at all"}.get(damage, bytes(data)))
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(path)


def test_other_files_are_not_taken_for_checkpoints(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(InputError, match="not a checkpoint of vqv2"):
        checkpoint.load(path)
    with pytest.raises(InputError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "missing.safetensors")


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, ARRAYS, {"step": 1})

    def full(file, *_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "write_all", full)
    with pytest.raises(InputError, match="No space left on device"):
        checkpoint.save(path, ARRAYS, {"step": 2})
    assert checkpoint.load(path)[1] == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from vqv2.files import tensors
from vqv2.run import checkpoint

def killed(file, *_):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

tensors.write_all = killed
checkpoint.save(sys.argv[1], {}, {})
"""


def test_what_a_killed_process_leaves_of_a_file_is_found(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert ended.returncode == -signal.SIGKILL
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"half"]
    remove_partial(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_tells_names_shapes_and_values_apart():
    base = {"a": np.zeros(4, np.float32)}
    others = [
        {"b": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 2), np.float32)},
        {"a": np.zeros(4, np.int32)},
        {"a": np.array([0, 0, 0, 1], np.float32)},
    ]
    assert checkpoint.checksum(base) == checkpoint.checksum({"a": np.zeros(4, np.float32)})
    assert len({checkpoint.checksum(c) for c in [base, *others]}) == 5


def test_what_cannot_be_opened_is_not_called_missing_or_damaged(tmp_path, monkeypatch):
    """A user who is told to train first, or again, might do so."""
    path = tmp_path / "c.safetensors"
    path.mkdir()
    with pytest.raises(InputError, match="c.safetensors cannot be read: it is a folder"):
        checkpoint.load(path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match="other.safetensors cannot be read: Permission denied"):
        checkpoint.load(tmp_path / "other.safetensors")


def stage(folder, steps, keep=2, best=()):
    """A `Checkpoints` with one saved at each of `steps`; those in `best` were the best so far."""
    checkpoints, lowest = Checkpoints(folder, keep), None
    for step in steps:
        lowest = {"step": step, "loss": 1 / step} if step in best else lowest
        save_step(checkpoints, step, lowest)
    return checkpoints


def save_step(checkpoints, step, best=None):
    checkpoints.save({"a": np.full(100, step, np.float32)}, {"step": step, "best": best})


def names(folder):
    return {path.name.removesuffix(".safetensors") for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (1, {"checkpoint"}),
        (2, {"checkpoint", "checkpoint-90"}),
        (3, {"checkpoint", "checkpoint-90", "checkpoint-8"}),
        (9, {"checkpoint", "checkpoint-90", "checkpoint-8", "checkpoint-7"}),
    ],
)
def test_so_many_are_kept_and_the_best_besides(tmp_path, keep, expected):
    stage(tmp_path / "a", (7, 8, 90, 100), keep)
    assert names(tmp_path / "a") == expected
    stage(tmp_path / "b", (7, 8, 90, 100), keep, best=(7, 8))
    assert names(tmp_path / "b") == {*expected, "best"}
    assert checkpoint.load(tmp_path / "b" / "best.safetensors")[1]["step"] == 8


def test_a_damaged_newest_is_named_and_the_one_before_it_used(tmp_path):
    checkpoints = stage(tmp_path, (7, 8, 9), keep=3)
    damage(checkpoints.newest)
    path, arrays, metadata, damaged = Checkpoints(tmp_path, 3).load()
    assert path == tmp_path / "checkpoint-8.safetensors"
    assert metadata["step"] == 8 and (arrays["a"] == 8).all()
    assert (
        f"{checkpoints.newest} is damaged" in damaged[0] and f"going on from {path}" in damaged[1]
    )


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F4", "X"])
def test_numbers_that_numpy_lacks_are_damage(tmp_path, dtype):
    checkpoints = stage(tmp_path, (7, 8))
    content = checkpoints.newest.read_bytes().replace(b'"F32"', f'"{dtype}"'.encode(), 1)
    checkpoints.newest.unlink()
    checkpoints.newest.write_bytes(content)
    assert Checkpoints(tmp_path).load()[0] == tmp_path / "checkpoint-7.safetensors"


def test_what_was_damaged_is_not_kept_as_one_of_the_former(tmp_path):
    checkpoints = stage(tmp_path, (6, 7, 8, 9), keep=3, best=(6,))
    for path in (checkpoints.newest, tmp_path / "checkpoint-8.safetensors"):
        damage(path)
    again = Checkpoints(tmp_path, 3)
    assert again.load()[2]["step"] == 7
    save_step(again, 8)
    assert checkpoint.load(again.newest)[1]["step"] == 8
    assert names(tmp_path) == {"checkpoint", "checkpoint-7", "best"}


def test_the_best_is_the_last_resort_and_after_that_there_is_none(tmp_path):
    checkpoints = stage(tmp_path, (7, 8, 9), best=(7,))
    for path in checkpoints.paths()[:-1]:
        damage(path)
    assert checkpoints.load()[0] == checkpoints.best
    damage(checkpoints.best)
    with pytest.raises(InputError, match="no other checkpoint") as error:
        checkpoints.load()
    assert all(str(path) in str(error.value) for path in checkpoints.paths())


def test_one_that_may_not_be_read_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch):
    checkpoints = stage(tmp_path, (7, 8))
    checkpoints.newest.unlink()
    checkpoints.newest.mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        checkpoints.load()


def test_where_there_are_no_second_names_there_are_copies(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    stage(tmp_path, (7, 8, 9), best=(9,))
    assert names(tmp_path) == {"checkpoint", "checkpoint-8", "best"}
    steps = {p.stem: checkpoint.load(p)[1]["step"] for p in tmp_path.iterdir()}
    assert steps == {"checkpoint": 9, "checkpoint-8": 8, "best": 9}


def damage(path):
    """Change a byte of this file, and of no other that may be the same file by another name."""
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_no_changed_byte_and_no_missing_end_goes_unnoticed(tmp_path):
    path = tmp_path / "c.safetensors"
    metadata = {"stage": "prior-top", "step": 3}
    checkpoint.save(path, {"a": np.arange(5, dtype=np.float32), "b": np.ones(2, int)}, metadata)
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        _expect_damage(path, metadata, place)
        path.write_bytes(whole[:place])
        _expect_damage(path, metadata, place)


def _expect_damage(path, metadata, place):
    try:
        arrays, found = checkpoint.load(path)
    except DamagedError as error:
        assert len(str(error).splitlines()) == 1
        return
    # A space of the header's filling may change without consequence.
    assert found == metadata and set(arrays) == {"a", "b"}, place
    np.testing.assert_array_equal(arrays["a"], np.arange(5))
