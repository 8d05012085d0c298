"""Convolutions with fewer multiplications: their errors, and how far one wrong number spreads."""

import numba
import numpy as np
import pytest

from backends import kernels
from backends.numba.engine import winograd
from backends.reference.conv import output_size
from tests.backends.test_kernels import assert_close
from tests.cases import CASES, Draw, run

KERNELS = (kernels.conv2d, kernels.conv2d_input_gradient, kernels.conv2d_weight_gradient)
LAYERS = {"3x3": (2, 18, 23, 3, 128, 72, 1, 1), "4x4": (2, 34, 66, 4, 64, 80, 2, 1)}


def arguments(kernel, layer, draw):
    """What `kernel` takes for one of `LAYERS`."""
    n, height, width, size, channels, channels_out, stride, padding = LAYERS[layer]
    rows, columns = (output_size(s, size, stride, padding) for s in (height, width))
    x, dy = draw(n, height, width, channels), draw(n, rows, columns, channels_out)
    w = draw(size, size, channels, channels_out)
    return {
        kernels.conv2d: (x, w, stride, padding),
        kernels.conv2d_input_gradient: (dy, w, stride, padding, height, width),
        kernels.conv2d_weight_gradient: (x, dy, size, stride, padding),
    }[kernel]


each_kernel_and_layer = pytest.mark.parametrize(
    ("kernel", "layer"),
    [pytest.param(k, layer, id=f"{k.__name__}-{layer}") for k in KERNELS for layer in LAYERS],
)


def test_every_size_and_padding(monkeypatch):
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "LEAST_POSITIONS", 0)
    for kernel in KERNELS:
        for build in CASES[kernel].values():
            (result,) = run(kernel, kernel.versions["numba"], build(Draw(np.float32)))
            (expected,) = run(kernel, kernel.reference, build(Draw(np.float64)))
            assert_close(result, expected, np.float32)


@each_kernel_and_layer
def test_errors_are_no_larger_than_twice_those_of_a_plain_sum(kernel, layer):
    exact = kernel.reference(*arguments(kernel, layer, Draw(np.float64)))
    plain = kernel.reference(*arguments(kernel, layer, Draw(np.float32))) - exact
    fast = kernel.versions["numba"](*arguments(kernel, layer, Draw(np.float32))) - exact
    assert 0 < np.sqrt((fast**2).mean()) <= 2 * np.sqrt((plain**2).mean())


@each_kernel_and_layer
def test_neither_threads_nor_shares_change_a_bit(kernel, layer, monkeypatch):
    function, given = kernel.versions["numba"], arguments(kernel, layer, Draw(np.float32))
    expected = function(*given)
    monkeypatch.setattr(winograd, "cores", lambda: 64)
    monkeypatch.setattr(winograd, "PANEL", 30)
    monkeypatch.setattr(winograd, "GROUP_TILES", 1)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        result = function(*given)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kernel", KERNELS[:2], ids=lambda k: k.__name__)
def test_a_nan_reaches_all_that_sees_it_and_its_tiles_at_most(kernel, layer):
    given = arguments(kernel, layer, Draw(np.float32))
    given[0][0, 5, 7, 3] = np.nan
    seen = np.isnan(kernel.reference(*given)).any(axis=-1)
    poisoned = np.isnan(kernel.versions["numba"](*given)).any(axis=-1)
    assert seen.any() and poisoned[seen].all()
    farther = 2 * (given[2] if kernel is kernels.conv2d_input_gradient else 1) - 1
    near = np.zeros_like(seen)
    (top, left), (bottom, right) = (f(np.argwhere(seen[0]), axis=0) for f in (np.min, np.max))
    near[0, top - farther : bottom + farther + 1, left - farther : right + farther + 1] = True
    assert not poisoned[~near].any()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_nan_reaches_the_gradient_of_its_channel_and_taps_only(layer):
    given = arguments(kernels.conv2d_weight_gradient, layer, Draw(np.float32))
    given[0][1, 8, 9, 3] = np.nan
    poisoned, expected = (
        np.isnan(kernels.conv2d_weight_gradient.versions[name](*given))
        for name in ("numba", "reference")
    )
    assert expected.any()
    np.testing.assert_array_equal(poisoned, expected)


def test_what_an_image_comes_to_does_not_depend_on_its_batch():
    for layer in LAYERS:
        x, w, *window = arguments(kernels.conv2d, layer, Draw(np.float32))
        function = kernels.conv2d.versions["numba"]
        np.testing.assert_array_equal(function(x[:1], w, *window), function(x, w, *window)[:1])
