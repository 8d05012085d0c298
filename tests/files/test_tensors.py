"""safetensors files of ours are what the package reads; bfloat16 halves them, and is widened."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from backends.precision import rounded
from vqv2.files import open_tensors, write_tensors

RNG = np.random.default_rng(0)
ARRAYS = {
    "b": RNG.normal(size=(3, 5)).astype(np.float32),
    "a": np.arange(3, dtype=np.uint8),
    "transposed": np.arange(6, dtype=np.int64).reshape(2, 3).T,
    "number": np.array(7.0),
    "none": np.zeros((0, 3), np.float16),
}


def read(path):
    with open_tensors(path, "get another") as file:
        return {name: file.read(name) for name in file.entries}, file.metadata


def test_the_package_reads_what_is_written(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, ARRAYS, {"é": "1\n"})
    for found in (load_file(path), read(path)[0]):
        assert set(found) == set(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"é": "1\n"} == read(path)[1]
    header = path.read_bytes()[8:]
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert length % 8 == 0 and json.loads(header[:length])  # numbers lie aligned in the file


@pytest.mark.parametrize("shape", [(64, 3), (5,), (), (0, 2)])
def test_bfloat16_takes_half_the_bytes_and_is_read_as_float32(tmp_path, shape):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"w": values, "exact": values}, {}, bfloat16=["w"])
    with safe_open(path, "np") as file:
        assert file.get_slice("w").get_dtype() == "BF16"
    found, _ = read(path)
    assert found["w"].dtype == np.float32 and found["w"].shape == shape
    np.testing.assert_array_equal(found["w"], rounded(values, "bfloat16"))
    np.testing.assert_array_equal(found["exact"], values)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert path.stat().st_size == 8 + length + 6 * values.size
