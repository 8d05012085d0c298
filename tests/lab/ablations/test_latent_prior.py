"""The prior of continuous latents: causal, normalised, and an autoencoder to go with it."""

import dataclasses
import itertools

import numpy as np
import pytest

from tests.small import AUTOENCODER, PRIOR
from vqv2.errors import InputError
from vqv2.lab.ablations.continuous_autoencoder import ContinuousAutoencoder
from vqv2.lab.ablations.latent_prior import LatentPrior
from vqv2.models.autoencoder import Autoencoder
from vqv2.optim import Adam

ONE_LEVEL = dataclasses.replace(AUTOENCODER, latent_sizes=(4,), codebook_dimension=5)


def latent_prior(dimensions, size, components=3, bins=16):
    return LatentPrior(PRIOR, dimensions, size, np.random.default_rng(0), components, bins)


def test_parameters_depend_on_earlier_positions_only():
    model, rng = latent_prior(3, 4), np.random.default_rng(1)
    latents = rng.integers(0, 16, (2, 4, 4, 3))
    before = model(latents).array.reshape(2, 16, -1)
    for position in range(16):
        changed = latents.copy()
        changed.reshape(2, 16, 3)[:, position:] = rng.integers(0, 16, (2, 16 - position, 3))
        after = model(changed).array.reshape(2, 16, -1)
        np.testing.assert_array_equal(after[:, : position + 1], before[:, : position + 1])
        assert position == 15 or (after[:, position + 1 :] != before[:, position + 1 :]).any()


@pytest.mark.parametrize(("dimensions", "bins"), [(1, 4), (2, 2)])
def test_the_probabilities_of_all_maps_sum_to_one(dimensions, bins):
    model = latent_prior(dimensions, 2, bins=bins).cast(np.float64)
    numbers = 4 * dimensions
    maps = np.array(list(itertools.product(range(bins), repeat=numbers)))
    maps = maps.reshape(-1, 1, 2, 2, dimensions)
    total = sum(np.exp(-4 * model.loss(latents).item()) for latents in maps)
    assert total == pytest.approx(1, abs=1e-10)


def test_it_learns_and_every_parameter_takes_part():
    model = latent_prior(3, 4)
    optimizer, rng = Adam(model.parameters(), 0.5), np.random.default_rng(2)
    latents = np.repeat(rng.integers(0, 16, (1, 4, 4, 3)), 4, axis=0)
    losses = []
    for _ in range(30):
        loss = model.loss(latents, rng)
        loss.backward()
        optimizer.step(1e-2)
        losses.append(loss.item())
    assert losses[-1] < 0.75 * 3 * np.log(16)  # three quarters of what knowing nothing costs


def test_latents_that_do_not_fit_are_refused():
    model = latent_prior(3, 4)
    with pytest.raises(InputError, match="shape"):
        model.loss(np.zeros((2, 4, 4, 2), int))
    with pytest.raises(InputError, match="0 to 15"):
        model.loss(np.full((2, 4, 4, 3), 16))


def test_the_autoencoder_has_the_latents_of_its_configuration_and_their_loss():
    model = ContinuousAutoencoder(ONE_LEVEL, np.random.default_rng(0))
    images = np.random.default_rng(1).random((3, 16, 16, 3), np.float32)
    latents = model.encode(images)
    assert latents.shape == (3, 4, 4, 5) and latents.dtype == np.float32
    decoded = model.decode(latents)
    assert decoded.shape == images.shape and decoded.min() >= 0 and decoded.max() <= 1
    loss, parts, codes = model.loss(images)
    assert (codes, list(parts)) == ([], ["reconstruction"])
    assert ((decoded > 0) & (decoded < 1)).all()  # nothing was clipped, so that both are the same:
    assert loss.item() == pytest.approx(((decoded - images) ** 2).mean(), rel=1e-5)


def test_the_autoencoder_differs_from_the_quantised_one_in_the_quantiser_only():
    def shapes(model):
        return sorted(p.shape for p in model.parameters().values())

    rng = np.random.default_rng(0)
    assert shapes(ContinuousAutoencoder(ONE_LEVEL, rng)) == shapes(Autoencoder(ONE_LEVEL, rng))


def test_the_autoencoder_has_one_level():
    with pytest.raises(InputError, match="one level"):
        ContinuousAutoencoder(AUTOENCODER, np.random.default_rng(0))
