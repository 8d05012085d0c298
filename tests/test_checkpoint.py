"""Checkpoints: exact, atomic, and particular about what they read."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqv2 import checkpoint
from vqv2.errors import InputError

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

    def full(arrays, target, header):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(InputError, match="No space left on device"):
        checkpoint.save(path, ARRAYS, {"step": 2})
    assert checkpoint.load(path)[1] == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


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
    with pytest.raises(InputError, match="c.safetensors cannot be read: Is a directory"):
        checkpoint.load(path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match="other.safetensors cannot be read: Permission denied"):
        checkpoint.load(tmp_path / "other.safetensors")
