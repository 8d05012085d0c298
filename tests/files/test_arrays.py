"""Rows of an array in a file are those of the array, for every way to ask for them."""

import numpy as np
import pytest

from vqv2.files import ArrayFile

ARRAY = np.random.default_rng(0).normal(size=(20, 3, 2)).astype(np.float32)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"header" + ARRAY.tobytes())
    with open(path, "rb") as file:
        return ArrayFile(path, file, ARRAY.dtype, ARRAY.shape, 6)


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    "key",
    [0, -1, np.int64(7), slice(None), slice(3, 9), slice(-5, 99), slice(9, 3), slice(1, 15, 4),
     [3, 3, -1], np.array([[0, 19], [5, 6]]), []],
)  # fmt: skip
def test_rows_are_those_of_the_array(rows, key, windows, monkeypatch):
    if windows:
        monkeypatch.delattr("os.preadv")
    expected = ARRAY[np.asarray(key, int) if isinstance(key, list) else key]
    np.testing.assert_array_equal(rows[key], expected)
    assert rows[key].dtype == expected.dtype


def test_it_looks_like_the_array(rows):
    assert (len(rows), rows.ndim, rows.nbytes) == (len(ARRAY), ARRAY.ndim, ARRAY.nbytes)
    np.testing.assert_array_equal(np.asarray(rows), ARRAY)
    np.testing.assert_array_equal(list(rows), list(ARRAY))


@pytest.mark.parametrize("key", [20, -21, [0, 20], [-21]])
def test_rows_that_are_not_there_are_index_errors(rows, key):
    with pytest.raises(IndexError):
        rows[key]
