"""What the paper's models ask of a device is what is written down, and a change of it is seen."""

import json

import pytest

import backends
import backends.cupy.elementwise  # (it registers its versions)
from backends import kernels, shapes
from backends.shapes.pool import UNIT, Pool
from tests.device import count
from tests.gpu import cpu_kernels, stand_in
from vqv2.lab import counting
from vqv2.lab.bench.cases import build_model, training_case, training_data, training_step

BUDGETS = json.loads(count.BUDGETS.read_text())
MEMORY_TOLERANCE = 0.01  # when Python frees what refers to itself is its own affair


def differences(found, budget):
    """Sentences on how counts differ from their budget."""
    exact = {name: (found[name], budget[name]) for name in ("launches", "operations")}
    for family in found["bytes"].keys() | budget["bytes"].keys():
        exact[f"bytes of {family}"] = found["bytes"].get(family, 0), budget["bytes"].get(family, 0)
    sentences = [f"{name}: {a:,} instead of {b:,}" for name, (a, b) in exact.items() if a != b]
    for name in ("live", "pooled"):
        if abs(found[name] / budget[name] - 1) > MEMORY_TOLERANCE:
            sentences.append(f"{name} memory: {found[name]:,} instead of {budget[name]:,} bytes")
    return sorted(sentences)


def test_the_papers_models_keep_to_their_budgets():
    counted = count.count_all()
    assert counted.keys() == BUDGETS.keys()
    found = {what: differences(counted[what], BUDGETS[what]) for what in BUDGETS}
    found = {what: sentences for what, sentences in found.items() if sentences}
    advice = "if that is meant: python -m tests.device.count --record"
    assert not found, f"{advice}\n{json.dumps(found, indent=1)}"


def test_an_added_copy_is_noticed(monkeypatch):
    relu = kernels.relu.versions["cupy"]
    monkeypatch.setitem(kernels.relu.versions, "cupy", lambda x: relu(x.copy()))
    counting.training_step.cache_clear()
    found = count.count_step("autoencoder", "tf32")
    counting.training_step.cache_clear()
    noticed = differences(found, BUDGETS["autoencoder, tf32"])
    assert {"bytes of copies", "launches"} <= {sentence.partition(":")[0] for sentence in noticed}


@pytest.mark.parametrize("name", count.MODELS)
def test_counts_are_those_of_a_device_that_computes(name, precision="bfloat16"):
    """Kernels of the project, and operations of products, of a tiny step on the stand-in."""
    if reason := cpu_kernels.why_missing():
        pytest.skip(f"CUDA kernels cannot be run on the processor: {reason}")
    case = training_case(name, "tiny")
    launches = counting.training_step(case, precision).launches
    of_cupy = ("elementwise, CuPy", "products", "reductions", "copies", "fills", "gathers")
    of_cupy = (*of_cupy, shapes.TRANSFERS)
    ours = sum(n for x, n in launches.items() if not x.family.startswith(of_cupy))
    products = sum(n * x.operations for x, n in launches.items() if x.family == "products")
    with stand_in.installed() as counts, backends.use("cupy"):
        step = training_step(build_model(case), training_data(case), precision)
        step()
        counts.clear()
        step()
    assert (ours, products) == (counts["kernels"], counts["operations"])


def test_the_device_of_shapes_has_only_what_the_real_cupy_has():
    names = {name for name in vars(shapes.arrays) if not name.startswith("__")}
    assert names <= {*stand_in.SNAPSHOT["cupy"], "get_default_memory_pool", "cuda"}


def test_the_pool_takes_the_smallest_block_that_fits_and_joins_what_is_free():
    pool = Pool()
    large, small, other = (pool.take(size * UNIT) for size in (8, 2, 8))
    assert (pool.used_bytes(), pool.total_bytes()) == (18 * UNIT, 18 * UNIT)
    pool.give(large)
    pool.give(small)
    parts = [pool.take(UNIT), pool.take(1), pool.take(3 * UNIT), pool.take(5 * UNIT)]
    assert pool.total_bytes() == 18 * UNIT  # two halves of the small, and both of the large one
    for part in (*parts, other):
        pool.give(part)
    assert pool.used_bytes() == 0
    whole = pool.take(8 * UNIT)
    assert pool.total_bytes() == pool.most_held == 18 * UNIT
    pool.free_all_blocks()
    assert pool.total_bytes() == 8 * UNIT
    pool.set_limit(size=9 * UNIT)
    with pytest.raises(MemoryError, match="Out of memory allocating 1,024 bytes"):
        pool.take(2 * UNIT)
    pool.give(whole)
    assert pool.take(9 * UNIT).size == 9 * UNIT  # once the free one is given back
