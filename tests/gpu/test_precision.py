"""Products on the device in every precision, against rounded factors in float64."""

import numpy as np
import pytest

import backends
from backends import PRECISIONS, kernels, to_host
from backends.cupy.engine import half
from backends.precision import rounded
from tests.backends.test_precision import (
    BITS,
    CASES_OF_PRODUCTS,
    REDUCED,
    check_product,
    check_product_on_device,
    numbers,
    patch_slack,
)
from tests.cases import CASES, LAYOUTS, Draw
from tests.gpu import stand_in
from tests.gpu.hosted import hosted, upload


def check(kernel, case, precision, device, layout="contiguous"):
    """The stand-in rounds and adds as told, a real device as it likes."""
    if device.ndarray is stand_in.ndarray:
        slack = patch_slack(kernel, precision)
        check_product(kernel, case, "cupy", precision, layout, hosted(kernel), slack)
    else:
        check_product_on_device(kernel, case, precision, layout, hosted(kernel))


def check_products(case, precision, device=stand_in):
    """All products that have a case of this name."""
    for kernel, found in (param.values for param in CASES_OF_PRODUCTS):
        if found == case:
            check(kernel, case, precision, device)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("kernel", "case"), CASES_OF_PRODUCTS)
def test_products_on_the_device(kernel, case, precision, device):
    for layout in LAYOUTS:
        check(kernel, case, precision, device, layout)


@pytest.mark.parametrize("precision", REDUCED)
def test_a_convolution_in_several_blocks(precision, device, monkeypatch):
    monkeypatch.setattr("backends.cupy.conv.PATCH_BYTES", 500)
    for case in ("3x3", "5x5"):
        check_products(case, precision, device)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_halves_have_the_bits_of_the_rounded_numbers(precision, device):
    x = numbers()
    with backends.use(precision=precision):
        bits = to_host(half.halved(upload(x)).bits)
    expected = rounded(x, precision)
    if precision == "float16":
        found = bits.view(np.float16).astype(np.float32)
    else:
        found = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_halves_are_widened_to_the_rounded_numbers(precision, device):
    with backends.use(precision=precision):
        np.testing.assert_array_equal(
            to_host(half.halved(upload(numbers()))), rounded(numbers(), precision)
        )


def test_what_is_in_half_precision_takes_half_the_memory(device):
    for precision, size in (("float32", 4), ("tf32", 4), ("float16", 2), ("bfloat16", 2)):
        with backends.use(precision=precision):
            made = half.halved(device.zeros(3, np.float32))
            assert half.parts(made)[0].itemsize == size
            assert half.parts(half.halved(device.zeros(3)))[0].itemsize == 8


# Kernels that round what they make, and which of their arguments may be in half precision.
FUSED = {
    kernels.relu: (),
    kernels.elu: (),
    kernels.relu_gradient: (0, 1),
    kernels.elu_gradient: (0, 1),
    kernels.biased_relu: (0,),
    kernels.biased_elu: (0,),
    kernels.biased_relu_gradient: (0, 1),
    kernels.biased_elu_gradient: (0, 1),
    kernels.gate_block: (1, 3),
    kernels.gate_block_gradient: (0, 1),
    kernels.normalize: (),
    kernels.normalize_parameter_gradient: (7,),
    kernels.normalize_input_gradient: (7,),
    kernels.add_biased: (1,),
    kernels.factor_and_sum: (0,),
    kernels.sum_rows: (0,),
    kernels.factor: (0,),
}


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("given", ["float32", "halves"])
@pytest.mark.parametrize("kernel", FUSED, ids=lambda kernel: kernel.__name__)
def test_fused_kernels_round_once_what_they_make(kernel, given, precision, device):
    check_fused(kernel, given, precision)


def check_fused(kernel, given, precision):
    """Results are the reference's of the numbers given, or these rounded."""
    for case in CASES[kernel]:
        arguments = CASES[kernel][case](Draw(np.float32))
        halves = FUSED[kernel] if given == "halves" else ()
        arguments = [
            rounded(a, precision).reshape(a.shape) if i in halves and a is not None else a
            for i, a in enumerate(arguments)
        ]
        exact = kernel.reference(
            *(a.astype(float) if isinstance(a, np.ndarray) else a for a in arguments)
        )
        with backends.use(precision=precision):
            placed = [upload(a) if isinstance(a, np.ndarray) else a for a in arguments]
            placed = [
                half.halved(a) if i in halves and a is not None else a for i, a in enumerate(placed)
            ]
            results = kernel.versions["cupy"](*placed)
        exact, results = (x if isinstance(x, tuple) else (x,) for x in (exact, results))
        for result, expected in zip(results, exact, strict=True):
            result, allowed = to_host(result), 1e-5 * max(1, np.abs(expected).max(initial=0))
            assert result.shape == expected.shape and result.dtype == np.float32
            off = np.abs(result - expected)
            assert (off <= allowed + 2.0 ** -BITS[precision] * np.abs(expected)).all(), case


def test_what_is_added_up_is_not_rounded_before(device):
    dy = np.full((4096, 1), 1 + 2.0**-10, np.float32)
    with backends.use(precision="bfloat16"):
        for function in (kernels.factor_and_sum, kernels.biased_relu_gradient):
            y = upload(np.ones_like(dy))
            arguments = (upload(dy),) if function is kernels.factor_and_sum else (y, upload(dy))
            rounded_dy, total = function.versions["cupy"](*arguments)
            assert (to_host(rounded_dy) == 1).all()
            np.testing.assert_allclose(to_host(total), 4096 + 4, rtol=1e-5)
