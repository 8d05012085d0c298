"""Winograd's algorithm along the rows above: causal to the last bit, and about as exact."""

import numpy as np
import pytest

from backends import kernels
from backends.numba.engine import causal_winograd
from backends.numba.engine.channelwise import channelwise

SHAPE, CHANNELS_OUT = (2, 7, 22, 40), 72


@pytest.fixture(autouse=True)
def small_maps_are_enough(monkeypatch):
    monkeypatch.setattr(causal_winograd, "LEAST_POSITIONS", 256)


def draw(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def test_it_is_what_convolutions_of_this_size_use():
    assert causal_winograd.pays(SHAPE, CHANNELS_OUT, 5)
    assert not causal_winograd.pays(SHAPE, CHANNELS_OUT, 3)
    x, w = draw(*SHAPE), draw(13, SHAPE[-1], CHANNELS_OUT)
    y = kernels.causal_conv2d.versions["numba"](x, w, 5)
    np.testing.assert_array_equal(y, causal_winograd.convolve(x, w))


@pytest.mark.parametrize("taps", [12, 13])
def test_later_positions_do_not_move_a_bit_of_earlier_ones(taps):
    x, w = draw(*SHAPE), draw(taps, SHAPE[-1], CHANNELS_OUT)
    flat = causal_winograd.convolve(x, w).reshape(2, -1, CHANNELS_OUT)
    for position in (0, 1, 21, 22, 49, 51, 153):
        changed = x.copy()
        later = changed.reshape(2, -1, SHAPE[-1])[:, position:]
        later += 100 * draw(*later.shape)
        y = causal_winograd.convolve(changed, w).reshape(2, -1, CHANNELS_OUT)
        sees_itself = taps == 13
        np.testing.assert_array_equal(y[:, :position], flat[:, :position])
        assert (y[:, position] != flat[:, position]).any() == sees_itself


@pytest.mark.parametrize("name", ["causal_conv2d", "input_gradient", "weight_gradient"])
def test_errors_are_no_larger_than_twice_those_of_a_plain_sum(name):
    x, w, dy = draw(2, 12, 32, 128), draw(13, 128, 64), draw(2, 12, 32, 64)
    kernel, arguments = {
        "causal_conv2d": (kernels.causal_conv2d, (x, w, 5)),
        "input_gradient": (kernels.causal_conv2d_input_gradient, (dy, w, 5)),
        "weight_gradient": (kernels.causal_conv2d_weight_gradient, (x, dy, 5, 13)),
    }[name]
    exact = kernel.reference(*(a.astype(np.float64) if np.ndim(a) else a for a in arguments))
    fast, plain = (kernel.versions[v](*arguments) - exact for v in ("numba", "reference"))
    assert 0 < np.sqrt((fast**2).mean()) <= 2 * np.sqrt((plain**2).mean())


def test_plain_python_computes_what_is_computed_compiled():
    """`NUMBA_DISABLE_JIT=1` replaces LLVM's instructions by NumPy."""
    x = draw(8, 21)
    y = np.zeros((causal_winograd.POINTS, 30), np.float32)
    causal_winograd.from_inputs(x, 0, 21, 21, y, 5, 30)
    np.testing.assert_allclose(y[:, 5:26], causal_winograd.INPUTS_MATRIX @ x, atol=1e-5)
    assert not y[:, :5].any() and not y[:, 26:].any()


def test_a_matrix_is_applied_to_every_channel():
    y = np.zeros((1, 3), np.float32)
    channelwise([[1, -2]])(np.array([[1, 2, 3], [4, 5, 6]], np.float32), 0, 3, 3, y, 0, 3)
    np.testing.assert_array_equal(y, [[-7, -8, -9]])
