"""Matrix products: what is made once and used often, and what changes nothing."""

import numpy as np
import pytest

from backends.numba.engine import products, tile
from backends.numba.engine.products import Columns, multiply
from backends.numba.matmul import matmul
from backends.precision import widen


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("changed", [{"PANEL_ROWS": 6}, {"TASKS": 1}, {"STRETCH": 1}])
def test_cutting_a_product_in_other_ways_changes_rounding_only(changed, monkeypatch):
    a, b = draw(700, 90).T, draw(700, 70)
    expected = a.astype(np.float64) @ b
    for name, value in changed.items():
        monkeypatch.setattr(products, name, value)
    np.testing.assert_allclose(matmul(a, b), expected, atol=1e-4)


@pytest.mark.parametrize("count", [64, 65, 128, 512, 576])
def test_columns_are_made_once_and_used_often(count):
    a, b = draw(20, 9), draw(9, count)
    columns = Columns(b)
    for part in (a, a[:7], a[::2]):
        np.testing.assert_allclose(multiply(part, columns), part @ b, atol=1e-5)


def test_errors_are_no_larger_than_twice_those_of_a_plain_float32_product():
    a, b = draw(64, 2000), draw(2000, 64)
    exact = a.astype(np.float64) @ b
    ours, plain = (np.abs(y - exact).max() for y in (matmul(a, b), a @ b))
    assert ours <= 2 * plain


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 11])
def test_the_tile_in_plain_python_computes_what_it_computes_compiled(rows, dtype):
    """`NUMBA_DISABLE_JIT=1` replaces the tile, written in LLVM's instructions, by NumPy."""
    x, w = draw(rows, 30), draw(30, tile.BLOCK)
    stored = w if dtype == np.float32 else (w.view(np.uint32) >> 16).astype(np.uint16)
    sums = np.zeros((rows, tile.BLOCK), np.float32)
    parts = {6: tile.add_tile, 2: tile.add_two_rows, 1: tile.add_one_row}
    row = 0
    while row < rows:
        height = max(h for h in parts if h <= rows - row)
        parts[height](x, row * 30, 30, 1, 30, stored, 0, tile.BLOCK, sums, row)
        row += height
    np.testing.assert_allclose(sums, x @ widen(stored), atol=1e-5)
