"""The rows above of one row: when Winograd's algorithm takes over, and what it may not change."""

import numba
import numpy as np
import pytest

from backends import reference
from backends.numba.engine import causal_winograd
from backends.numba.rows_above import add_rows_above, prepare_rows_above
from backends.reference.packing import prepare_weights
from tests.cases import LAYOUTS, Draw

WIDTH, CHANNELS, CHANNELS_OUT = 22, 40, 72


def draw(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def prepared(width=WIDTH, channels=CHANNELS, storage="float32", dtype=np.float32, taps=10):
    w = draw(taps, channels, CHANNELS_OUT).astype(dtype)
    return prepare_rows_above(w, storage, width)


def inputs(images, width=WIDTH, channels=CHANNELS):
    return draw(images, 2, width + 4, channels), draw(images, width, CHANNELS_OUT)


def test_wide_rows_of_many_channels_in_float32_use_it():
    assert prepared().ndim == 5
    assert prepared(width=causal_winograd.LEAST_WIDTH - 1).ndim == 3
    assert prepared(channels=causal_winograd.LEAST_CHANNELS - 1).ndim == 3
    assert prepared(storage="bfloat16").dtype == np.uint16
    assert prepared(dtype=np.float64).ndim == 3
    assert prepared(taps=3).ndim == 3


# images, width, channels in and out: off the tile, one more than a block, no images
SHAPES = [(3, 16, 40, 72), (2, 19, 33, 65), (1, 17, 64, 32), (0, 16, 32, 32)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_agrees_with_the_reference(shape, layout):
    images, width, channels, channels_out = shape

    def arguments(draw):
        w = prepare_rows_above(draw(10, channels, channels_out), "float32", width)
        return draw(images, 2, width + 4, channels), w, draw(images, width, channels_out)

    given = arguments(Draw(np.float32, layout))
    assert given[1].ndim == 5
    result = add_rows_above(*given)
    expected = reference.rows_above.add_rows_above(*arguments(Draw(np.float64)))
    assert result.dtype == np.float32 and result.shape == expected.shape
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max(initial=1))


@pytest.mark.parametrize("column", [0, 10, WIDTH - 1])
def test_a_nan_reaches_all_positions_that_see_it_and_their_tiles_at_most(column):
    w, (rows, offset) = prepared(), inputs(2)
    expected = causal_winograd.above(rows, w, offset)
    rows[1, 0, 2 + column, 3] = np.nan
    result = causal_winograd.above(rows, w, offset)
    reached = np.isnan(result).any(axis=-1)
    seeing = np.abs(np.arange(WIDTH) - column) <= 2
    tiles = np.arange(WIDTH) // causal_winograd.OUTPUTS
    assert reached[1, seeing].all()
    assert set(np.flatnonzero(reached[1])) <= set(np.flatnonzero(np.isin(tiles, tiles[seeing])))
    np.testing.assert_array_equal(result[~reached], expected[~reached])


def test_an_unknown_storage_is_refused():
    with pytest.raises(ValueError, match="'float16'"):
        prepared(storage="float16")


def test_errors_are_no_larger_than_twice_those_of_a_plain_sum():
    w, (rows, offset) = draw(10, 128, CHANNELS_OUT), inputs(8, 32, 128)
    plain = prepare_weights(w.reshape(-1, CHANNELS_OUT))
    exact = reference.rows_above.add_rows_above(
        *(a.astype(np.float64) for a in (rows, w.reshape(-1, CHANNELS_OUT), offset))
    )
    fast = causal_winograd.above(rows, causal_winograd.prepare_above(w), offset) - exact
    slow = reference.rows_above.add_rows_above(rows, plain, offset) - exact
    assert 0 < np.sqrt((fast**2).mean()) <= 2 * np.sqrt((slow**2).mean())


@pytest.mark.parametrize("images", [1, 2, 5])
def test_an_image_does_not_depend_on_the_others(images):
    w, (rows, offset) = prepared(), inputs(31)
    together = causal_winograd.above(rows, w, offset)
    few = causal_winograd.above(rows[:images], w, offset[:images])
    np.testing.assert_array_equal(few, together[:images])


def test_neither_threads_nor_shares_change_a_bit(monkeypatch):
    w, given = prepared(), inputs(31)
    expected = causal_winograd.above(given[0], w, given[1])
    monkeypatch.setattr(causal_winograd, "panel_rows", lambda rows, blocks: 6)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        result = causal_winograd.above(given[0], w, given[1])
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(result, expected)
