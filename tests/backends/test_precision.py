"""Products in reduced precision: rounded factors, sums in float32, on every backend."""

import numpy as np
import pytest

import backends
from backends import PRECISIONS, BackendError
from backends.precision import ProductKernel, rounded
from tests.backends.test_kernels import all_kernels, kernel_id
from tests.cases import CASES, Draw

REDUCED = PRECISIONS[1:]
BITS = {"tf32": 11, "float16": 11, "bfloat16": 8}  # significant ones
PRODUCTS = [k for k in CASES if isinstance(k, ProductKernel)]
CASES_OF_PRODUCTS = [
    pytest.param(k, case, id=f"{kernel_id(k)}-{case}") for k in PRODUCTS for case in CASES[k]
]
EDGES = [
    0.0,
    -0.0,
    1.0,
    1 + 2**-8,
    1 + 3 * 2**-8,
    1 + 2**-11,
    1 + 3 * 2**-11,
    -(1 + 2**-12),
    np.inf,
]
EDGES += [65504.0, 65519.9, 65520.0, 3.4e38, 2.0**-24, 2.0**-25, 1.5 * 2**-25, 6.1e-5, np.nan]


# What a device's products may be off, as a share of the sum of |products|: tensor cores add a
# little coarser.
DEVICE_SLACK = {"float32": 2.0**-20, "tf32": 2.0**-16, "float16": 2.0**-16, "bfloat16": 2.0**-16}


def cut_to_tf32(x):
    """x with the bits beyond the 11 of tf32 left out."""
    return (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def numbers():
    """Edges, and random numbers of all sizes, as float32."""
    rng = np.random.default_rng(0)
    wide = rng.standard_normal(4000) * 2.0 ** rng.integers(-40, 40, 4000)
    return np.concatenate([EDGES, wide]).astype(np.float32)


def test_the_products_are_the_kernels_that_round():
    assert {kernel.__name__ for kernel in all_kernels() if isinstance(kernel, ProductKernel)} == {
        "matmul",
        *(f"{name}{of}" for name in ("conv2d", "causal_conv2d") for of in (
            "", "_input_gradient", "_weight_gradient"
        )),
    }  # fmt: skip


@pytest.mark.parametrize("precision", REDUCED)
def test_rounding_is_to_nearest(precision):
    x = numbers()
    y = rounded(x, precision)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    normal = (np.abs(x) >= 2.0**-14) & (np.abs(x) < 65000)
    half_a_bit = 2.0 ** (np.floor(np.log2(np.abs(x[normal]))) - BITS[precision])
    assert (np.abs(y[normal].astype(float) - x[normal]) <= half_a_bit).all()
    mantissas = np.frexp(y[normal])[0] * 2 ** BITS[precision]
    np.testing.assert_array_equal(mantissas, np.round(mantissas))
    np.testing.assert_array_equal(rounded(y, precision), y)


def test_ties_and_the_ends_of_float16():
    ties = np.float32([1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-11])
    np.testing.assert_array_equal(rounded(ties, "float16"), [1, 1 + 2**-9, -1])
    np.testing.assert_array_equal(rounded(ties, "tf32"), [1 + 2**-10, 1 + 2**-9, -1 - 2**-10])
    ends = np.float32([65519.9, 65520, -1e6, 2.0**-25, 1.5 * 2**-25])
    np.testing.assert_array_equal(rounded(ends, "float16"), [65504, np.inf, -np.inf, 0, 2**-24])
    np.testing.assert_array_equal(rounded(np.float32([1 + 2**-8]), "bfloat16"), [1])


def test_float64_is_never_rounded():
    x = np.array([1 + 1e-12])
    assert rounded(x, "bfloat16") is x


@pytest.mark.parametrize("precision", REDUCED)
@pytest.mark.parametrize(("kernel", "case"), CASES_OF_PRODUCTS)
def test_factors_are_rounded_and_sums_are_not(kernel, case, precision):
    check_product(kernel, case, "reference", precision)
    if case in ("3x3", "5x5", "off-the-tile"):
        check_product(kernel, case, "numba", precision)


def check_product(kernel, case, backend, precision, layout="contiguous", call=None, slack=0.0):
    """The product of a case is that of its rounded factors in float64, up to float32's rounding.

    `slack` as in `check_between`.
    """
    roundings = [lambda x: rounded(x, precision)]
    return check_between(kernel, case, backend, precision, layout, call, roundings, slack)


def check_product_on_device(
    kernel, case, precision, layout="contiguous", call=None, backend="cupy"
):
    """The same of a real device, which adds up as it likes.

    Which products in tf32 it gives to tensor cores, and how these round, is its own affair: results
    lie between those of float32, of factors rounded to nearest, and of factors that are cut off.
    """
    roundings = [lambda x: rounded(x, precision)]
    if precision == "tf32":
        roundings += [lambda x: x, cut_to_tf32]
    slack = DEVICE_SLACK[precision] + patch_slack(kernel, precision)
    check_between(kernel, case, backend, precision, layout, call, roundings, slack)


def patch_slack(kernel, precision):
    """The share that rounding patches takes: where a device adds up pixels from half precision."""
    folds = kernel.__name__ in ("conv2d_input_gradient", "causal_conv2d_input_gradient")
    return 2.0 ** -BITS[precision] if folds and precision in ("float16", "bfloat16") else 0.0


def check_between(kernel, case, backend, precision, layout, call, roundings, slack=0.0):
    """A product lies between those of factors rounded in several ways, up to float32's rounding.

    `slack` is a share of the sum of |products| by which it may be off besides.
    """
    a, b, *settings = CASES[kernel][case](Draw(np.float32, layout))
    exact = [kernel.reference(r(a).astype(float), r(b).astype(float), *settings) for r in roundings]
    with backends.use(backend, precision=precision):
        result = (call or kernel)(a, b, *settings)
    assert result.dtype == np.float32
    allowed = 2e-6 * max(1, np.abs(exact).max(initial=0))
    if slack:
        sizes = (np.abs(x).astype(float) for x in (a, b))
        allowed = allowed + slack * kernel.reference(*sizes, *settings)
    beyond = np.maximum(np.min(exact, axis=0) - result, result - np.max(exact, axis=0))
    assert (beyond <= allowed).all(), beyond.max()
    return result


def product_of(rounding):
    """A product whose factors are rounded first, as the version of a kernel."""
    return lambda a, b, *settings: PRODUCTS[0].reference(rounding(a), rounding(b), *settings)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_a_device_may_use_tensor_cores_for_tf32_or_not_and_not_round_further(precision):
    def check(rounding):
        call = product_of(rounding)
        check_product_on_device(PRODUCTS[0], "3x3", precision, call=call, backend="reference")

    check(lambda x: x)
    for rounding in (lambda x: rounded(x, "tf32"), cut_to_tf32):
        if precision == "tf32":
            check(rounding)
            continue
        with pytest.raises(AssertionError):
            check(rounding)
    with pytest.raises(AssertionError):
        check(lambda x: rounded(x, "bfloat16"))


def test_the_precision_makes_a_difference():
    kernel = PRODUCTS[0]
    results = [check_product(kernel, "3x3", "numba", precision) for precision in PRECISIONS]
    for i, result in enumerate(results):
        for other in results[:i]:
            close = np.abs(result - other).max()
            assert close == 0 if i == 2 and other is results[1] else close > 1e-4, i
    assert np.abs(results[3] - results[0]).max() > np.abs(results[1] - results[0]).max()


def test_the_precision_is_restored_with_the_backend():
    with pytest.raises(RuntimeError), backends.use("reference", precision="bfloat16"):
        assert backends.current_precision() == "bfloat16"
        with backends.use(precision="tf32"):
            assert (backends.current(), backends.current_precision()) == ("reference", "tf32")
        with backends.use("numba"):
            assert backends.current_precision() == "bfloat16"
        raise RuntimeError
    assert backends.current_precision() == "float32"


def test_an_unknown_precision_is_refused():
    with pytest.raises(BackendError, match="no precision 'fp8': choose one of float32, tf32"):
        backends.use(precision="fp8")
    assert backends.current_precision() == "float32"
