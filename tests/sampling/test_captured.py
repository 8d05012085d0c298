"""The list of launches that a device records draws what an `IncrementalPrior` draws.

Here on the processor, where the launches are made one by one; tests/gpu does it on the device.
"""

import numpy as np
import pytest

from backends.kernels import sample_at
from tests.sampling.test_incremental import SIZE, VARIANTS, K, given, prior
from vqv2.autodiff import no_grad
from vqv2.sampling import IncrementalPrior, Settings, sample_codes
from vqv2.sampling.captured import CapturedRowSampler, fits

CONDITIONS = {"top": (), "conditioned": ((5, 2), (6, 4))}


def drawn(model, label, coarse, settings, kept, storage):
    """Codes (3, size, size) by a `CapturedRowSampler`, with the noise of `sample_codes`."""
    codes = kept.copy()
    sampler = CapturedRowSampler(IncrementalPrior(model, 3, label, coarse, storage), settings)
    rng = np.random.default_rng(7)
    for row in range(SIZE):
        noise = rng.gumbel(size=(SIZE, 3, K)).astype(np.float32)
        assert list(sampler.draw(codes[:, row], noise.swapaxes(0, 1))) == [1] * SIZE
    return codes


CHOICES = (Settings(), Settings(0.8, 5, 0.9), Settings(0))


@pytest.mark.parametrize(
    ("condition", "storage"), [("top", "bfloat16"), ("conditioned", "float32")]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_codes_are_drawn(variant, condition, storage):
    coarser = CONDITIONS[condition]
    model = prior(variant, coarser, dtype=np.float32)
    label, coarse = given(coarser)
    kept = np.where(np.random.default_rng(5).random((3, SIZE, SIZE)) < 0.2, 4, -1)
    settings = CHOICES[list(VARIANTS).index(variant) % 3]
    codes = drawn(model, label, coarse, settings, kept, storage)
    rng = np.random.default_rng(7)
    expected = sample_codes(model, 3, rng, label, coarse, settings, kept, storage=storage)
    np.testing.assert_array_equal(codes, expected)


def test_logits_of_every_position_are_those_of_the_full_pass():
    model = prior("top", dtype=np.float32)
    label, _ = given(())
    codes = np.random.default_rng(3).integers(0, K, (3, SIZE, SIZE))
    with no_grad():
        full = model(codes, label).array
    sampler = CapturedRowSampler(IncrementalPrior(model, 3, label), Settings())
    (logits,) = [launch.args[2] for launch in sampler.launches if launch.func is sample_at]
    for row in range(SIZE):
        steps = sampler.draw(codes[:, row], np.zeros((3, SIZE, K), np.float32))
        for column, _ in enumerate(steps):  # keeps the codes, which are given
            np.testing.assert_allclose(logits, full[:, row, column], atol=2e-4)


def test_on_the_processor_it_is_not_used():
    label, _ = given(())
    assert not fits(IncrementalPrior(prior("top", dtype=np.float32), 3, label))
