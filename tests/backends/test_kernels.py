"""Every version of every kernel against its reference in float64, on every case and layout."""

import importlib
import pkgutil

import numpy as np
import pytest

import backends
from backends import (
    adam,
    attention,
    causal_conv,
    channels,
    conv,
    cross_entropy,
    elementwise,
    logistic_mixture,
    product,
    quantize,
    rows_above,
    sampling_step,
    squared_error,
    windows,
)
from backends.selection import Kernel
from tests.cases import CASES, CHANGED, LAYOUTS, Draw, run

VERSIONS = (("reference", np.float32), ("numba", np.float32), ("numba", np.float64))
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}  # relative to the largest number of a result


def all_kernels():
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.iter_modules(backends.__path__, "backends.")
    ]
    values = [value for module in modules for value in vars(module).values()]
    return {value for value in values if isinstance(value, Kernel)}


def kernel_id(kernel):
    return f"{kernel.__module__.removeprefix('backends.')}.{kernel.__name__}"


def version_id(version):
    return f"{version[0]}-{np.dtype(version[1])}"


def assert_close(result, expected, dtype):
    """Equal codes; equal numbers up to rounding, all finite; in both cases the right dtype."""
    assert result.shape == expected.shape
    if expected.dtype.kind == "i":
        assert result.dtype == np.int64
        np.testing.assert_array_equal(result, expected)
        return
    assert result.dtype == dtype
    assert np.isfinite(expected).all()
    atol = TOLERANCE[dtype] * max(1, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(result, expected, rtol=0, atol=atol, equal_nan=False)


def test_every_kernel_has_cases_and_a_version_for_every_backend_here():
    kernels = all_kernels()
    assert kernels == set(CASES)
    for kernel in kernels:
        assert {"reference", "numba"} <= set(kernel.versions), kernel_id(kernel)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("version", VERSIONS, ids=version_id)
@pytest.mark.parametrize(
    ("kernel", "case"),
    [pytest.param(k, case, id=f"{kernel_id(k)}-{case}") for k in CASES for case in CASES[k]],
)
def test_version_agrees_with_the_reference(kernel, case, version, layout):
    name, dtype = version
    build = CASES[kernel][case]
    arguments, untouched = build(Draw(dtype, layout)), build(Draw(dtype, layout))
    results = run(kernel, kernel.versions[name], arguments)
    expected = run(kernel, kernel.reference, build(Draw(np.float64)))
    assert len(results) == len(expected)
    for result, value in zip(results, expected, strict=True):
        assert_close(result, value, dtype)
    for i, (after, before) in enumerate(zip(arguments, untouched, strict=True)):
        if i not in CHANGED.get(kernel, ()):
            np.testing.assert_array_equal(after, before, err_msg=f"argument {i} was modified")


# Which arguments to poison, and in which case. Left out, because 0 * NaN is NaN: weights that meet
# the zeros around an image, the values of attention (their own test is below), what its gradient
# multiplies, and relu_gradient.
POISONED = [
    (conv.conv2d, "halving-4x4", 0),
    (conv.conv2d, "no-padding", 1),
    (conv.conv2d, "pointwise", 0),
    (conv.conv2d_input_gradient, "halving-4x4", 0),
    (conv.conv2d_input_gradient, "3x3", 1),
    (conv.conv2d_weight_gradient, "3x3", 0),
    (conv.conv2d_weight_gradient, "no-padding", 1),
    (causal_conv.causal_conv2d, "5x5", 0),
    (causal_conv.causal_conv2d_input_gradient, "5x5", 0),
    (causal_conv.causal_conv2d_weight_gradient, "5x5-without-centre", 0),
    (attention.causal_attention, "short", 0),
    (attention.causal_attention, "short", 1),
    (elementwise.add, "images", 0),
    (elementwise.add, "broadcast", 1),
    (channels.add_bias, "rows", 0),
    (channels.add_bias, "images", 1),
    (channels.sum_rows, "several-parts", 0),
    (channels.moments, "several-parts", 0),
    *((channels.normalize, "rows", i) for i in range(4)),
    *((channels.correlate, "several-parts", i) for i in (0, 2)),
    *((channels.combine, "rows", i) for i in range(6)),
    *((squared_error.mean_squared_error, "images", i) for i in range(2)),
    *((squared_error.mean_squared_error_gradient, "images", i) for i in range(2)),
    (elementwise.relu, "images", 0),
    (elementwise.elu, "images", 0),
    (elementwise.elu_gradient, "images", 0),
    (elementwise.elu_gradient, "images", 1),
    (elementwise.sigmoid, "images", 0),
    (elementwise.gate, "images", 0),
    (elementwise.gate_gradient, "images", 0),
    (elementwise.gate_gradient, "images", 1),
    (elementwise.dropout, "images", 0),
    (quantize.codebook_statistics, "fewer-vectors-than-a-block", 0),
    (cross_entropy.cross_entropy, "rows", 0),
    (cross_entropy.cross_entropy_gradient, "rows", 0),
    (cross_entropy.cross_entropy_gradient, "rows", 2),
    (logistic_mixture.logistic_mixture, "vectors", 0),
    (logistic_mixture.logistic_mixture_gradient, "one-dimension", 2),
    (product.matmul, "off-the-tile", 0),
    (product.matmul, "off-the-tile", 1),
    (rows_above.add, "5x5-float32", 2),
    (sampling_step.affine, "off-the-tile-float32", 0),
    (sampling_step.affine, "off-the-tile-bfloat16", 2),
    (sampling_step.affine_gate, "two-rows-bfloat16", 0),
    (sampling_step.affine_gate, "off-the-tile-float32", 2),
    (sampling_step.affine_gate, "off-the-tile-float32", 3),
    (sampling_step.attend, "some", 0),
    *((adam.adam_update, "images", i) for i in range(5)),
]


def with_element(arguments, argument, place, value):
    arguments[argument].flat[place] = value
    return arguments


@pytest.mark.parametrize("version", VERSIONS, ids=version_id)
@pytest.mark.parametrize(
    ("kernel", "case", "argument"),
    [pytest.param(*p, id=f"{kernel_id(p[0])}-{p[1]}-argument{p[2]}") for p in POISONED],
)
def test_nan_reaches_what_depends_on_it_and_nothing_else(kernel, case, argument, version):
    name, dtype = version
    build = CASES[kernel][case]
    size = build(Draw(dtype))[argument].size
    for place in (size // 5, size // 2, size - 2):
        poisoned = with_element(build(Draw(dtype)), argument, place, np.nan)
        changed = with_element(build(Draw(np.float64)), argument, place, 3.7)
        before = run(kernel, kernel.reference, build(Draw(np.float64)))
        after = run(kernel, kernel.reference, changed)
        results = run(kernel, kernel.versions[name], poisoned)
        for result, a, b in zip(results, before, after, strict=True):
            np.testing.assert_array_equal(np.isnan(result), a != b)


@pytest.mark.parametrize("version", VERSIONS, ids=version_id)
def test_nan_among_values_reaches_later_positions_of_its_image_and_channel_only(version):
    name, dtype = version
    *arrays, rate, seed, dropout_on = CASES[attention.causal_attention]["short"](Draw(dtype))
    arrays[2][1, 2, 4] = np.nan
    function = attention.causal_attention.versions[name]
    output, log_normalizer = function(*arrays, rate, seed, dropout_on)
    poisoned = np.isnan(output)
    assert poisoned[1, 3:, 4].all()
    poisoned[1, :, 4] = False
    assert not poisoned.any() and np.isfinite(log_normalizer).all()


@pytest.mark.parametrize("few", [0, 100], ids=["phases", "folded"])
@pytest.mark.parametrize("lines", [1, 1000])
def test_cutting_convolutions_in_other_ways_changes_rounding_only(lines, few, monkeypatch):
    for module, name, value in (
        (windows, "LINE_ROWS", lines),
        (windows, "PANEL_ROWS", 6 * lines),
        (conv, "FOLDED_NUMBERS", 100 * lines),
        (conv, "FEW_CHANNELS", few),
    ):
        monkeypatch.setattr(module, name, value)
    for kernel in (k for k in CASES if k.__module__ in (conv.__name__, causal_conv.__name__)):
        for build in CASES[kernel].values():
            (result,) = run(kernel, kernel.versions["numba"], build(Draw(np.float32)))
            (expected,) = run(kernel, kernel.reference, build(Draw(np.float64)))
            assert_close(result, expected, np.float32)
