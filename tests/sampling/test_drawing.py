"""What draws a position in fixed places draws what logits, choices and `append` one by one do.

Here on the processor, where the calls are made one by one; tests/gpu does it on the device.
"""

import gc
import weakref

import numba
import numpy as np
import pytest

import backends
from backends import to_device, to_host
from tests.sampling.test_incremental import SIZE, VARIANTS, K, given, prior
from vqv2.sampling import IncrementalPrior, RowSampler, Settings, row_sampler

CONDITIONS = {"top": (), "conditioned": ((5, 2), (6, 4))}
CHOICES = (Settings(), Settings(0.8, 5, 0.9), Settings(0))


def seeds(count):
    return to_device(np.arange(count, dtype=np.uint64))


def drawn(sampler, kept):
    """Codes (N, size, size) by a sampler, of which those of `kept` that are not -1 are given."""
    codes = to_device(kept.copy())
    for row in range(SIZE):
        assert len(list(sampler.draw(codes[:, row]))) == SIZE
    return to_host(codes)


@pytest.mark.parametrize(
    ("condition", "storage"), [("top", "bfloat16"), ("conditioned", "float32")]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_codes_are_drawn_as_step_by_step(variant, condition, storage):
    model = prior(variant, CONDITIONS[condition], dtype=np.float32)
    label, coarse = given(CONDITIONS[condition])
    kept = np.where(np.random.default_rng(5).random((3, SIZE, SIZE)) < 0.2, 4, -1)
    settings = CHOICES[list(VARIANTS).index(variant) % 3]
    samplers = [
        kind(IncrementalPrior(model, 3, label, coarse, storage), settings, seeds(3))
        for kind in (row_sampler, RowSampler)
    ]
    assert type(samplers[0]) is not RowSampler
    codes, expected = (drawn(sampler, kept) for sampler in samplers)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(codes[kept >= 0], 4)


def test_a_samplers_memory_is_given_back_without_waiting_for_the_garbage_collector():
    model = prior("bottom", classes=0, dtype=np.float32)
    sampler = row_sampler(IncrementalPrior(model, 1), Settings(), seeds(1))
    drawn(sampler, np.full((1, SIZE, SIZE), -1))
    stepper = weakref.ref(sampler.stepper)
    gc.disable()
    try:
        del sampler
        assert stepper() is None
    finally:
        gc.enable()


def all_logits(model, label, coarse, codes):
    stepper, found = IncrementalPrior(model, len(codes), label, coarse), []
    for i in range(SIZE * SIZE):
        found.append(to_host(stepper.logits()))
        stepper.append(to_device(codes[:, i // SIZE, i % SIZE]))
    return np.stack(found, axis=1)


@pytest.mark.skipif(backends.current() != "numba", reason="BLAS sums in an order of its own")
@pytest.mark.parametrize("variant", ["top", "kernel 7"])
def test_an_images_logits_depend_neither_on_the_others_nor_on_threads(variant):
    coarser = CONDITIONS["conditioned"]
    model = prior(variant, coarser, dtype=np.float32)
    label, coarse = given(coarser, 9)
    codes = np.random.default_rng(3).integers(0, K, (9, SIZE, SIZE))
    together = all_logits(model, label, coarse, codes)
    alone = all_logits(model, label[4:5], [c[4:5] for c in coarse], codes[4:5])
    np.testing.assert_array_equal(alone, together[4:5])
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(all_logits(model, label, coarse, codes), together)
    finally:
        numba.set_num_threads(threads)
