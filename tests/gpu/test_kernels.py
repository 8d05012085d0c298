"""Every CUDA kernel against its float64 reference: on the processor, or with --backend cupy.

Without a device each check runs with the threads in several orders: a race or a missing barrier
gives another result in at least one of them.
"""

import numpy as np
import pytest

from backends import BackendError, kernels
from backends.cupy.engine import cuda
from tests.backends import test_kernel_gradients, test_kernels, test_quantize
from tests.cases import CASES, LAYOUTS
from tests.gpu.cpu_kernels import ORDERS, Order
from tests.gpu.hosted import hosted, upload

KERNELS = [
    pytest.param(k, case, id=f"{test_kernels.kernel_id(k)}-{case}")
    for k in CASES
    for case in CASES[k]
]
DTYPES = (np.float32, np.float64)
ELEMENTWISE = [k for k in CASES if test_kernels.family(k) == "elementwise"]


@pytest.fixture(autouse=True)
def versions(device, monkeypatch):
    """The cupy versions take and give host arrays, as the other versions do."""
    for kernel in CASES:
        monkeypatch.setitem(kernel.versions, "cupy", hosted(kernel))
    return device


def in_every_order(check, *arguments):
    for order in ORDERS:
        with Order(order):
            check(*arguments)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("kernel", "case"), KERNELS)
def test_cuda_version_agrees_with_the_reference(kernel, case, dtype):
    check = test_kernels.test_version_agrees_with_the_reference
    in_every_order(check, kernel, case, ("cupy", dtype), "contiguous")


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize(("kernel", "case"), KERNELS)
def test_memory_layout_does_not_matter(kernel, case, layout):
    test_kernels.test_version_agrees_with_the_reference(kernel, case, ("cupy", np.float32), layout)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("kernel", "case", "argument"), test_kernels.POISONED)
def test_nan_reaches_what_depends_on_it_and_nothing_else(kernel, case, argument, dtype):
    check = test_kernels.test_nan_reaches_what_depends_on_it_and_nothing_else
    check(kernel, case, argument, ("cupy", dtype))


@pytest.mark.parametrize(("forward", "case", "gradients"), test_kernel_gradients.PAIRS)
def test_gradient_kernel_is_the_derivative(forward, case, gradients):
    test_kernel_gradients.test_gradient_kernel_is_the_derivative(forward, case, gradients, "cupy")


@pytest.mark.parametrize(
    "check",
    [
        test_quantize.test_a_tie_goes_to_the_lowest_index,
        test_quantize.test_neighbours_far_from_zero_are_told_apart,
        test_quantize.test_nearest_of_random_vectors_up_to_rounding,
        test_quantize.test_vector_with_nan_gets_code_0_and_leaves_the_others_alone,
        test_quantize.test_first_code_with_nan_is_chosen_by_all,
        test_quantize.test_infinitely_far_vector_gets_code_0,
    ],
)
def test_nearest_code_at_its_edges(check):
    in_every_order(check, kernels.nearest_code.versions["cupy"])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dimensions", [1, 15, 16, 17, 64])
@pytest.mark.parametrize(("total", "count"), [(1, 1), (63, 65), (64, 64), (65, 63), (130, 129)])
def test_nearest_code_off_the_sizes_of_its_tiles(total, count, dimensions, dtype):
    rng = np.random.default_rng(total)
    vectors = rng.integers(-3, 4, (total, dimensions)).astype(dtype)  # many ties
    codebook = rng.integers(-3, 4, (count, dimensions)).astype(dtype)
    expected = kernels.nearest_code.reference(vectors, codebook)

    def check():
        codes = kernels.nearest_code.versions["cupy"](vectors, codebook)
        np.testing.assert_array_equal(codes, expected)

    in_every_order(check)


@pytest.mark.parametrize(
    ("total", "count", "dimensions"), [(1000, 3, 5), (777, 40, 300), (65, 1, 1)]
)
def test_codebook_statistics_in_several_parts(total, count, dimensions):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((total, dimensions))
    codes = rng.integers(0, count, total)
    expected = kernels.codebook_statistics.reference(vectors, codes, count)
    results = []

    def check():
        results.append(kernels.codebook_statistics.versions["cupy"](vectors, codes, count))
        for result, value in zip(results[-1], expected, strict=True):
            np.testing.assert_allclose(result, value, atol=1e-12)

    in_every_order(check)
    for counts, sums in results[1:]:  # equal to the last bit, whatever the order of the threads
        np.testing.assert_array_equal(counts, results[0][0])
        np.testing.assert_array_equal(sums, results[0][1])


@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_codes_outside_the_codebook_make_everything_nan(bad):
    function = kernels.codebook_statistics.versions["cupy"]
    counts, sums = function(np.ones((2, 4), np.float32), np.array([0, bad]), 3)
    assert np.isnan(counts).all() and np.isnan(sums).all()


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_targets_outside_the_codes_make_their_rows_nan(bad):
    logits, targets = np.zeros((3, 5), np.float32), np.array([0, bad, 4])
    losses = kernels.cross_entropy.versions["cupy"](logits, targets)
    assert np.isnan(losses).tolist() == [False, True, False]
    ones = np.ones(3, np.float32)
    gradient = kernels.cross_entropy_gradient.versions["cupy"](logits, targets, ones)
    assert np.isnan(gradient).tolist() == [[False] * 5, [True] * 5, [False] * 5]


def test_odd_number_of_channels_is_refused():
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="two halves"):
        kernels.gate.versions["cupy"](x)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("count", [2, 31, 257, 700])
@pytest.mark.parametrize(
    "choice", [(1, 0, 1.0), (0.5, 7, 1.0), (2.0, 0, 0.6), (1, 5, 0.4), (0, 0, 1)]
)
def test_draws_of_many_codes_equal_the_reference(rows, count, choice):
    rng = np.random.default_rng(count)
    logits, seeds = rng.standard_normal((rows, count)), np.arange(rows, dtype=np.uint64)
    logits[:, count // 2] = logits[:, 0]  # a tie
    logits[0, [0, -1]] = 9, 9  # and one of the likeliest
    logits -= 50
    expected = kernels.sample_codes.reference(logits, seeds, 5, *choice)

    def check():
        codes = kernels.sample_codes.versions["cupy"](logits, seeds, 5, *choice)
        np.testing.assert_array_equal(codes, expected)

    in_every_order(check)


def reading(length, position, heads, width, dtype):
    """Arguments of `attend_at`, with one image; where the offset is the query."""
    rng, columns = np.random.default_rng(0), heads * width
    w = kernels.prepare_weights(np.zeros((1, 3 * columns), dtype))
    offset = rng.standard_normal((1, 1, 3 * columns)).astype(dtype)
    past = rng.standard_normal((1, 2, heads, length, width)).astype(dtype)
    results = np.zeros((1, 3 * columns), dtype), past, np.zeros((1, 1, 1 + columns), dtype)
    return np.array([position]), length, np.zeros((1, 1), dtype), w, offset, *results


def check_reading(*arguments, tolerance):
    """The kernel reads what the reference does."""
    results, expected = reading(*arguments), reading(*arguments)
    kernels.attend_at.versions["cupy"](*results)
    kernels.attend_at.reference(*expected)
    np.testing.assert_allclose(results[-1], expected[-1], atol=tolerance)


@pytest.mark.parametrize("width", [1, 32, 33, 600])
@pytest.mark.parametrize("count", [3, 600])
def test_reading_from_many_positions_of_any_width(count, width):
    in_every_order(lambda: check_reading(count + 5, count, 2, width, np.float64, tolerance=1e-12))


@pytest.mark.parametrize("count", [11_700, 11_760, 11_800])
def test_reading_from_as_many_positions_as_fill_the_shared_memory(count):
    """With nearly, and with just over 48 KiB of weights: what the kernel declares counts, too."""
    check_reading(count, count - 1, 1, 1, np.float32, tolerance=1e-5)


def test_what_needs_more_shared_memory_than_a_block_can_have_is_one_sentence(device, request):
    if request.config.getoption("--backend") == "cupy":
        pytest.skip("how much that is depends on the device")
    message = "kernel attend_at needs 119 KiB .* more than this device"
    with pytest.raises(BackendError, match=message):
        kernels.attend_at.versions["cupy"](*reading(30_000, 1, 1, 1, np.float32))


def test_nan_among_logits_is_drawn_as_numpy_would():
    logits, seeds = np.zeros((2, 300)), np.zeros(2, np.uint64)
    logits[0, 270] = logits[0, 290] = np.nan
    for temperature in (0, 1):
        settings = (seeds, 4, temperature, 0, 1.0)
        codes = kernels.sample_codes.versions["cupy"](logits, *settings)
        assert codes.tolist() == kernels.sample_codes.reference(logits, *settings).tolist()
        assert codes[0] == 270


@pytest.mark.parametrize("kernel", [kernels.relu_gradient, kernels.elu_gradient])
def test_overflowed_cotangents_come_out_where_they_do_in_the_reference(kernel):
    y = np.array([[0, 1, -0.5], [1, 0, 1]], np.float32)
    dy = np.array([[np.inf, 1, np.nan], [-np.inf, 1, np.nan]], np.float32)
    np.testing.assert_array_equal(kernel.versions["cupy"](y, dy), kernel.reference(y, dy))


def test_gates_of_many_channels_and_rows():
    x = np.random.default_rng(0).standard_normal((70, 2 * 600))
    dy = x[:, :600]
    for kernel, arguments in (
        (kernels.gate, (x,)),
        (kernels.gate_gradient, (x, dy)),
    ):
        result = kernel.versions["cupy"](*arguments)
        np.testing.assert_allclose(result, kernel.reference(*arguments), atol=1e-12)


@pytest.mark.parametrize("kernel", [*ELEMENTWISE, kernels.adam_update], ids=test_kernels.kernel_id)
def test_a_grid_smaller_than_the_array_goes_over_it_several_times(kernel, monkeypatch):
    monkeypatch.setattr(cuda, "MOST_BLOCKS", 3)
    monkeypatch.setattr(cuda, "THREADS", 32)
    for case in CASES[kernel]:
        test_kernels.test_version_agrees_with_the_reference(
            kernel, case, ("cupy", np.float32), "contiguous"
        )


@pytest.mark.parametrize("patch_bytes", [1, 500, 3000])
@pytest.mark.parametrize("name", ["conv", "causal_conv"])
def test_cutting_into_blocks_changes_nothing(name, patch_bytes, monkeypatch):
    monkeypatch.setattr("backends.cupy.conv.PATCH_BYTES", patch_bytes)
    for kernel, case in ((k, c) for k in CASES for c in CASES[k] if test_kernels.family(k) == name):
        test_kernels.test_version_agrees_with_the_reference(
            kernel, case, ("cupy", np.float64), "contiguous"
        )


def test_uploads_keep_memory_layouts(device):
    array = np.arange(6.0).reshape(2, 3)
    wide = np.zeros((4, 6))
    wide[::2, ::2] = array
    for host in (array, np.asfortranarray(array), wide[::2, ::2]):
        placed = upload(host)
        assert placed.flags.c_contiguous == host.flags.c_contiguous
        np.testing.assert_array_equal(device.asnumpy(placed), array)


@pytest.mark.parametrize(("dtype", "tiny", "left"), [("f4", 1e-39, 0), ("f8", 1e-39, 2e-39)])
def test_float32_numbers_too_small_to_be_normal_count_as_zero(dtype, tiny, left):
    """CuPy compiles every kernel so; Adam's epsilon is far above that."""
    gradient, overflow = np.full(3, tiny, dtype), np.zeros(1, dtype)
    kernels.unscale.versions["cupy"](gradient, 2.0, overflow)
    np.testing.assert_array_equal(gradient, np.full(3, left, dtype))


def find_overflow():
    """Whatever is not finite is noticed in any place, and nothing else is."""
    unscale = kernels.unscale.versions["cupy"]
    for value in (np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0):
        for place in (0, 300, 699):
            gradient, overflow = np.ones(700, np.float32), np.zeros(1, np.float32)
            gradient[place] = value
            unscale(gradient, 0.5, overflow)
            assert overflow[0] == (not np.isfinite(value)), value
            np.testing.assert_array_equal(gradient[place], np.float32(value) / 2)
            assert (np.delete(gradient, place) == 0.5).all()
    overflow[...] = 1
    unscale(np.ones(3, np.float32), 2.0, overflow)
    assert overflow[0] == 1  # what came before is not forgotten


def test_overflow_is_found_wherever_it_is():
    in_every_order(find_overflow)
