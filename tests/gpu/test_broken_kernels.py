"""The tests of the kernels are tested: kernels broken on purpose must be caught.

Every barrier of every kernel is taken out in turn, and the faults that such kernels usually have
are put in: a mask off by one, a block at the end left out, a tie that goes to the wrong side.
"""

import re

import numpy as np
import pytest

from backends import kernels
from backends.cupy.engine import cuda
from tests.backends import test_kernels
from tests.cases import CASES
from tests.gpu.cpu_kernels import ORDERS, KernelError, Order
from tests.gpu.hosted import hosted
from tests.gpu.sources import all_sources
from tests.gpu.test_kernels import find_overflow
from tests.gpu.test_kernels import (
    test_a_grid_smaller_than_the_array_goes_over_it_several_times as small_grid,
)
from tests.gpu.test_kernels import (
    test_codebook_statistics_in_several_parts as in_several_parts,
)
from tests.gpu.test_kernels import (
    test_draws_of_many_codes_equal_the_reference as many_draws,
)
from tests.gpu.test_kernels import (
    test_nearest_code_off_the_sizes_of_its_tiles as many_codes,
)
from tests.gpu.test_kernels import (
    test_reading_from_many_positions_of_any_width as many_positions,
)
from tests.gpu.test_kernels import (
    test_taking_strips_of_weights_together_changes_rounding_only as strips_together,
)
from tests.gpu.test_precision import FUSED, check_fused, check_products

pytestmark = pytest.mark.thorough

FAULTS = [
    ("adam.cu", "i, count)", "i, count - 1)"),
    ("adam.cu", "c2 * g * g", "c2 * g"),
    ("adam.cu", "overflow[0] = 1", "overflow[0] = 0"),
    ("adam.cu", "<= -LOWEST", "< 1e30"),
    ("adam.cu", "!(fabs(gradient[i]) <= -LOWEST)", "fabs(gradient[i]) > -LOWEST"),
    ("attention.cu", "bool allowed = j < i &&", "bool allowed = j <= i &&"),
    ("attention.cu", "bool allowed = j < i &&", "bool allowed = j + 1 < i &&"),
    ("attention.cu", "first_key < first_query + TILE", "first_key < first_query"),
    ("attention.cu", "first_query = first_key;", "first_query = first_key + TILE;"),
    ("attention.cu", "bool inside = first + row < length;", "bool inside = true;"),
    ("attention.cu", "if (i >= length) continue;", ""),
    ("attention.cu", "shrink[r] = exp(peak[r] - new_peak);", "shrink[r] = 1;"),
    ("attention.cu", "(b * length + i) * length + j", "(b * length + j) * length + i"),
    ("attention.cu", "(length + TILE - 1) / TILE", "max(1, length / TILE)"),
    ("attention.cu", "nothing ? Real(0)", "nothing ? Real(1)"),
    ("batch_norm.cu", "sum / (part.last - part.first)", "sum / part_rows"),
    ("batch_norm.cu", "square - sum * shift", "square"),
    ("batch_norm.cu", "rows - (long long)part * part_rows", "rows"),
    ("batch_norm.cu", "count * distance * distance", "distance * distance"),
    ("batch_norm.cu", "(*this)(x) > 0", "x > 0"),
    ("batch_norm.cu", "relu && value < 0 ?", "value < 0 ?"),
    ("batch_norm.cu", "product * normalized.inverse", "product"),
    ("batch_norm.cu", "adds ? onto[i] + d : d", "d"),
    ("batch_norm.cu", "(part.number * 2 + 1) * channels", "(part.number + 1) * channels"),
    ("batch_norm.cu", "+ shift);", ");"),
    ("batch_norm.cu", "share * (new_variance", "(new_variance"),
    ("columns.cu", "part += ACROSS)", "part += ACROSS + 1)"),
    ("columns.cu", "group * parts * channels", "group * channels"),
    ("conv.cu", "t < high ?", "t <= high ?"),
    ("conv.cu", "row < height;", "row <= height;"),
    ("conv.cu", "if (position >= lines * columns) return;", ""),
    ("conv.cu", "tap >= taps", "tap >= kernel * kernel"),
    ("conv.cu", "line < 0 ||", ""),
    ("conv.cu", "j >= columns ||", ""),
    ("conv.cu", "i * stride != row + padding - a ||", ""),
    ("conv.cu", "add ? read(x, place, format) : Real(0)", "Real(0)"),
    ("conv.cu", "add ? read(x, place, format) : Real(0)", "read(x, place, format)"),
    ("half.cu", "half_value(halves[i], format)", "half_value(halves[i], 1 - format)"),
    ("batch_norm.cu", "half_bits(value, format)", "half_bits(value, 1 - format)"),
    ("batch_norm.cu", "read(dy, i, dy_format)", "read(dy, i, EXACT)"),
    ("elementwise.cu", "write(inside, i, inside_format", "write(inside, i, features_format"),
    ("half.cu", "half_bits(x[i], format)", "half_bits(x[i], BFLOAT16)"),
    ("half.cu", "half_bits(x[i], format)", "half_bits(x[i], FLOAT16)"),
    ("half.cu", "i, count) halves", "i, count - 1) halves"),
    ("loss.cu", "if (row >= rows) return;", ""),
    ("loss.cu", "exp(logits[k] - peak)", "exp(logits[k])"),
    ("loss.cu", "k == target", "k == target + 1"),
    ("elementwise.cu", "x > 0 ? x : expm1(x)", "x < 0 ? x : expm1(x)"),
    ("elementwise.cu", "adds ? onto[i] + d : d", "d"),
    ("elementwise.cu", "sum += d;", "sum = d;"),
    ("elementwise.cu", "part.first / length * 2", "part.first / length"),
    ("elementwise.cu", "if (conditioned)", "if (!conditioned)"),
    ("elementwise.cu", "(keep(seed, i, threshold) ? gated", "(keep(seed, m, threshold) ? gated"),
    ("elementwise.cu", "sum_b += db;", "sum_b += da;"),
    ("elementwise.cu", "keep(seed, i, threshold)", "keep(seed, i + 1, threshold)"),
    ("elementwise.cu", "row += gridDim.x", "row += gridDim.x + 1"),
    ("elementwise.cu", "exp(-fabs(x))", "exp(-x)"),
    ("quantize.cu", "a.code < b.code;", "a.code > b.code;"),
    ("quantize.cu", "candidate.code < count &&", ""),
    ("quantize.cu", "first + row < total &&", ""),
    ("quantize.cu", "start + d < dimensions;", "true;"),
    ("quantize.cu", "a.distance < b.distance", "a.distance > b.distance"),
    ("quantize.cu", "min(start + part_size, total)", "start + part_size"),
    ("sampling_step.cu", "if (share.first + r >= rows) continue;", ""),
    ("sampling_step.cu", "share.strip < strips ? length : 0", "length"),
    ("sampling_step.cu", "share.strip < strips ? length : 0", "length - 1"),
    ("sampling_step.cu", "warp < begin + warps;", "warp < begin + warps - 1;"),
    ("sampling_step.cu", "threadIdx.x / WARP * warps;", "0;"),
    ("sampling_step.cu", "lane / STRIP;", "lane % ROWS;"),
    ("sampling_step.cu", "(strips + together - 1) / together", "strips / together"),
    ("sampling_step.cu", "bool upper = threadIdx.x & HALF;", "bool upper = false;"),
    ("sampling_step.cu", "share.column >= HALF ||", ""),
    ("sampling_step.cu", "a, HALF);", "a, 1);"),
    ("sampling_step.cu", "c >= columns) return;", "c > columns) return;"),
    ("sampling_step.cu", "<< 16", "<< 15"),
    ("sampling_step.cu", "g < groups; g++", "g < groups - 1; g++"),
    ("sampling_step.cu", "count ? sum / total : Real(0)", "sum / total"),
    ("sampling_step.cu", "(long long)place * step;", "(long long)(place + 1) * step;"),
    ("sampling_step.cu", "count = where[0];", "count = where[0] + 1;"),
    ("sampling_step.cu", "position % period, columns)", "position, columns)"),
    ("sampling_step.cu", "x + column * x_step", "x"),
    ("sampling_step.cu", "i / width, 1)", "i / all, 1)"),
    ("sampling_step.cu", "where[0]++", "where[0] += 2"),
    ("sampling_step.cu", "image >= rows || share.column", "share.column"),
    ("sampling_step.cu", "keys + (long long)all * length;", "keys;"),
    ("sample.cu", "*place < 0) *place", "true) *place"),
    ("sample.cu", "position * count + k", "position + k"),
    ("sample.cu", "seeds[row]", "seeds[0]"),
    ("sample.cu", ">> 12)", ">> 13)"),
    ("sample.cu", "above >= top_k", "above > top_k"),
    ("sample.cu", "dropped[k] ? LOWEST", "0 ? LOWEST"),
    ("sample.cu", "above < top_p * total", "above <= top_p"),
    ("sample.cu", "i < j : a > b", "i > j : a > b"),
    ("sample.cu", "w < THREADS / WARP; w++", "w < THREADS / WARP / 2; w++"),
    ("sample.cu", "distance > 0; distance", "distance > 1; distance"),
]


def without_each_barrier():
    """(file, its text without that barrier) for each barrier of each file."""
    changes = []
    for name, source in all_sources().items():
        text = source.path.read_text()
        for match in re.finditer(r"__sync(threads|warp)\(\)", text):
            changed = text[: match.start()] + text[match.end() :]
            line = text.count("\n", 0, match.start()) + 1
            changes.append(pytest.param(name, changed, id=f"{name}-line-{line}"))
    return changes


def is_caught(name, changed, monkeypatch):
    """Whether the tests of the kernels in `name` notice that its text has become `changed`."""
    source = all_sources()[name]
    prelude = cuda.PRELUDE.read_text()
    for member, value in (
        ("code", lambda: prelude + changed),
        ("_modules", {}),
        ("_functions", {}),
    ):
        monkeypatch.setattr(source, member, value)
    for kernel in CASES:
        monkeypatch.setitem(kernel.versions, "cupy", hosted(kernel))
    try:
        for order in ORDERS:
            with Order(order):
                run_checks(name.removesuffix(".cu"))
    except (AssertionError, KernelError):
        return True
    return False


def run_checks(family):
    """The checks of one kernel family, without repetition over orders and dtypes."""
    families = {
        "conv": ("conv", "causal_conv"),
        "columns": ("batch_norm", "elementwise"),
        "sample": ("sample", "sampling_step"),
    }.get(family, (family,))
    for kernel in CASES:
        if test_kernels.family(kernel) in families:
            for case in CASES[kernel]:
                test_kernels.test_version_agrees_with_the_reference(
                    kernel, case, ("cupy", np.float32), "contiguous"
                )
    if family in ("conv", "half"):
        for precision in ("float16", "bfloat16"):
            check_products("3x3", precision)
    if family in ("batch_norm", "elementwise", "half"):
        for kernel in (k for k in FUSED if test_kernels.family(k) in (family, "matmul")):
            for given in ("float32", "halves"):
                check_fused(kernel, given, "float16")
    if family == "adam":
        find_overflow()
    if family == "conv":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("backends.cupy.conv.PATCH_BYTES", 500)
            run_checks("causal_conv")
    if family == "sampling_step":
        for width in (33, 600):
            many_positions(600, width)
        with pytest.MonkeyPatch.context() as patch:
            strips_together(kernels.gated_at, 1, patch)
    if family == "quantize":
        many_codes(65, 63, 17, np.float64)
        in_several_parts(777, 40, 300)
    if family == "sample":
        for choice in ((0.5, 7, 1.0), (1, 5, 0.4), (0, 0, 1)):
            many_draws(3, 700, choice)
    if family in ("elementwise", "adam"):
        with pytest.MonkeyPatch.context() as patch:
            for kernel in (k for k in CASES if test_kernels.family(k) == family):
                small_grid(kernel, patch)


@pytest.fixture(autouse=True)
def on_the_processor(device, request):
    if request.config.getoption("--backend") == "cupy":
        pytest.skip("broken kernels are not run on a device: they may write anywhere")


@pytest.mark.parametrize(("name", "changed"), without_each_barrier())
def test_a_missing_barrier_is_caught(name, changed, monkeypatch):
    assert is_caught(name, changed, monkeypatch)


@pytest.mark.parametrize(("name", "right", "wrong"), FAULTS)
def test_a_fault_is_caught(name, right, wrong, monkeypatch):
    text = all_sources()[name].path.read_text()
    assert right in text
    assert is_caught(name, text.replace(right, wrong), monkeypatch)


@pytest.mark.parametrize("name", all_sources())
def test_the_kernels_as_they_are_pass(name, monkeypatch):
    assert not is_caught(name, all_sources()[name].path.read_text(), monkeypatch)
