"""The hierarchy of FFHQ-1024 at its full size (Tables 2 and 3): one pass, and sampled stretches.

Weights are random: it is about shapes, memory and finite numbers.
"""

import gc
import resource

import numpy as np
import pytest

from vqv2.autodiff import no_grad
from vqv2.lab.bench.weights import QuickNormal
from vqv2.models.autoencoder import Autoencoder
from vqv2.models.prior import Prior
from vqv2.presets import preset
from vqv2.sampling import IncrementalPrior

CONFIG = preset("ffhq1024")
SIZES = dict(zip(CONFIG.levels, CONFIG.autoencoder.latent_sizes, strict=True))
STRETCH = {"top": 34, "middle": 6, "bottom": 6}  # positions; the top's reach into the second row


@pytest.fixture(autouse=True)
def only_when_asked(request):
    if not request.config.getoption("--full-size"):
        pytest.skip("takes minutes and 3 GB of memory: pytest --full-size tests/full_size")
    yield
    gc.collect()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory so far {peak:.1f} GiB")


def test_one_pass_of_the_autoencoder():
    assert SIZES == {"top": 32, "middle": 64, "bottom": 128}
    model = Autoencoder(CONFIG.autoencoder, QuickNormal())
    image = np.random.default_rng(0).random((1, 1024, 1024, 3), dtype=np.float32)
    with no_grad():
        result = model(image)
    assert result.image.shape == (1, 1024, 1024, 3)
    assert np.isfinite(result.image.array).all()
    assert [codes.shape for codes in result.codes] == [(1, size, size) for size in SIZES.values()]
    assert all(np.isfinite(loss.item()) for loss in result.losses.values())


@pytest.mark.parametrize("level", CONFIG.levels)
def test_a_sampled_stretch_of_each_prior(level):
    position = CONFIG.levels.index(level)
    coarser = [(512, size) for size in list(SIZES.values())[:position]]
    rng = np.random.default_rng(0)
    prior = Prior(CONFIG.prior(level), 512, SIZES[level], QuickNormal(), coarser)
    print(f"{level}: {prior.parameter_count():,} parameters")
    maps = [rng.integers(0, 512, (1, size, size)) for _, size in coarser]
    sampler = IncrementalPrior(prior, 1, None, maps)
    for _ in range(STRETCH[level]):
        logits = sampler.logits()
        assert logits.shape == (1, 512) and np.isfinite(logits).all()
        sampler.append((logits + rng.gumbel(size=logits.shape)).argmax(axis=1))
