"""Products on the device in every precision, against rounded factors in float64."""

import numpy as np
import pytest

import backends
from backends import PRECISIONS, to_host
from backends.cupy.engine import half
from backends.precision import rounded
from tests.backends.test_precision import (
    CASES_OF_PRODUCTS,
    REDUCED,
    check_product,
    check_product_on_device,
    numbers,
)
from tests.cases import LAYOUTS
from tests.gpu import stand_in
from tests.gpu.hosted import hosted, upload


def check(kernel, case, precision, device, layout="contiguous"):
    """The stand-in rounds and adds as told, a real device as it likes."""
    if device.ndarray is stand_in.ndarray:
        check_product(kernel, case, "cupy", precision, layout, hosted(kernel))
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
