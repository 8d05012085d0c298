"""Every version of every kernel against its reference in float64, on every case and layout."""

import numpy as np
import pytest

import backends.cupy  # noqa: F401  (registers its versions; needs no device)
from backends import BACKENDS, kernels
from backends.kernel import Kernel
from backends.numba import conv
from backends.numba.engine import direct_conv
from tests.cases import CASES, CHANGED, LAYOUTS, Draw, run

VERSIONS = (("reference", np.float32), ("numba", np.float32), ("numba", np.float64))
# What these return only their backend has to understand: they are tested with what reads it.
LAYOUTS_OF_WEIGHTS = {kernels.prepare_weights, kernels.prepare_rows_above}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}  # relative to the largest number of a result


def all_kernels():
    return {value for value in vars(kernels).values() if isinstance(value, Kernel)}


def family(kernel):
    return kernel.__module__.removeprefix("backends.reference.")


def kernel_id(kernel):
    return f"{family(kernel)}.{kernel.__name__}"


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


def test_every_kernel_has_cases_and_a_version_for_every_backend():
    assert all_kernels() == set(CASES) | LAYOUTS_OF_WEIGHTS
    for kernel in all_kernels():
        assert set(BACKENDS) <= set(kernel.versions), kernel_id(kernel)


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
# multiplies, relu_gradient, and the cotangent of a gate that dropout has masked. Where a ReLU makes
# zero of both numbers, they do not show what depends on them.
POISONED = [
    (kernels.conv2d, "halving-4x4", 0),
    (kernels.conv2d, "no-padding", 1),
    (kernels.conv2d, "pointwise", 0),
    (kernels.conv2d_input_gradient, "halving-4x4", 0),
    (kernels.conv2d_input_gradient, "3x3", 1),
    (kernels.conv2d_weight_gradient, "3x3", 0),
    (kernels.conv2d_weight_gradient, "no-padding", 1),
    (kernels.causal_conv2d, "5x5", 0),
    (kernels.causal_conv2d_input_gradient, "5x5", 0),
    (kernels.causal_conv2d_weight_gradient, "5x5-without-centre", 0),
    (kernels.causal_attention, "short", 0),
    (kernels.causal_attention, "short", 1),
    (kernels.add, "images", 0),
    (kernels.add, "broadcast", 1),
    (kernels.add_bias, "rows", 0),
    (kernels.add_bias, "images", 1),
    (kernels.sum_rows, "several-parts", 0),
    (kernels.moments, "several-parts", 0),
    *((kernels.normalize, "rows", i) for i in range(5)),
    *((kernels.normalize_parameter_gradient, "several-parts", i) for i in (0, 7)),
    *((kernels.normalize_input_gradient, "rows", i) for i in (0, 7, 8, 9)),
    *((kernels.mean_squared_error, "images", i) for i in range(2)),
    *((kernels.mean_squared_error_gradient, "images", i) for i in range(2)),
    (kernels.relu, "images", 0),
    (kernels.elu, "images", 0),
    (kernels.elu_gradient, "images", 0),
    (kernels.elu_gradient, "images", 1),
    (kernels.sigmoid, "images", 0),
    (kernels.gate, "images", 0),
    (kernels.gate_gradient, "images", 0),
    (kernels.gate_gradient, "images", 1),
    (kernels.dropout, "images", 0),
    *(
        (kernel, "images", i)
        for kernel in (kernels.biased_relu, kernels.biased_elu)
        for i in (0, 1)
    ),
    (kernels.elu_gradient, "onto", 2),
    (kernels.relu_gradient, "onto", 2),
    (kernels.normalize_input_gradient, "onto", 11),
    *((kernels.add_biased, "rows", i) for i in range(3)),
    (kernels.factor_and_sum, "several-parts", 0),
    (kernels.biased_elu_gradient, "images", 0),
    (kernels.biased_elu_gradient, "images", 1),
    *((kernels.gate_block, "everything", i) for i in range(5)),
    (kernels.gate_block_gradient, "everything", 1),
    (kernels.codebook_statistics, "fewer-vectors-than-a-block", 0),
    (kernels.cross_entropy, "rows", 0),
    (kernels.cross_entropy_gradient, "rows", 0),
    (kernels.cross_entropy_gradient, "rows", 2),
    (kernels.logistic_mixture, "vectors", 0),
    (kernels.logistic_mixture_gradient, "one-dimension", 2),
    (kernels.matmul, "off-the-tile", 0),
    (kernels.matmul, "off-the-tile", 1),
    (kernels.add_rows_above, "5x5-float32", 2),
    (kernels.affine, "off-the-tile-float32", 0),
    (kernels.affine, "off-the-tile-bfloat16", 2),
    (kernels.affine_at, "off-the-tile-float32", 4),
    (kernels.gated_at, "two-rows-bfloat16", 2),
    (kernels.gated_at, "two-causal", 8),
    (kernels.remember_at, "heads", 3),
    *((kernels.adam_update, "images", i) for i in range(5)),
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
    *arrays, rate, seed, dropout_on = CASES[kernels.causal_attention]["short"](Draw(dtype))
    arrays[2][1, 2, 4] = np.nan
    function = kernels.causal_attention.versions[name]
    output, log_normalizer = function(*arrays, rate, seed, dropout_on)
    poisoned = np.isnan(output)
    assert poisoned[1, 3:, 4].all()
    poisoned[1, :, 4] = False
    assert not poisoned.any() and np.isfinite(log_normalizer).all()


@pytest.mark.parametrize("few", [0, 100], ids=["phases", "folded"])
@pytest.mark.parametrize("lines", [1, 1000])
def test_cutting_convolutions_in_other_ways_changes_rounding_only(lines, few, monkeypatch):
    for module, name, value in (
        (direct_conv, "LINE_ROWS", lines),
        (direct_conv, "PANEL_ROWS", 6 * lines),
        (conv, "FOLDED_NUMBERS", 100 * lines),
        (conv, "FEW_CHANNELS", few),
    ):
        monkeypatch.setattr(module, name, value)
    for kernel in (k for k in CASES if family(k) in ("conv", "causal_conv")):
        for build in CASES[kernel].values():
            (result,) = run(kernel, kernel.versions["numba"], build(Draw(np.float32)))
            (expected,) = run(kernel, kernel.reference, build(Draw(np.float64)))
            assert_close(result, expected, np.float32)
