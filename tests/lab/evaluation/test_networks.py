"""Feature networks by name."""

import numpy as np
import pytest

from tests.small import CONFIG
from vqv2.errors import InputError
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation.networks import open_network
from vqv2.models.autoencoder import Autoencoder

IMAGES = np.random.default_rng(0).random((3, 16, 16, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def hierarchy():
    """An untrained one."""
    autoencoder = Autoencoder(CONFIG.autoencoder, np.random.default_rng(0))
    return Hierarchy(CONFIG, (), autoencoder, {})


@pytest.mark.parametrize(
    ("text", "dimensions"),
    [
        ("pixels", 16 * 16 * 3),
        ("encoder", 8),
        ("encoder-map", 4 * 4 * 8),
        ("layer:encoders.1", 8),
        ("layer:encoders.1.downsampling.convolutions.0", 4),
    ],
)
def test_a_network_that_every_run_has(hierarchy, text, dimensions):
    assert open_network(text, hierarchy).features(IMAGES).shape == (3, dimensions)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inception", "there are no features 'inception': use pixels, encoder"),
        ("vgg16", "there are no features 'vgg16'"),
        ("pixels:3", "there are no features 'pixels:3'"),
        ("classifier:nowhere", "there is no checkpoint nowhere"),
        ("layer:encoders.9", "there is no layer 'encoders.9'"),
    ],
)
def test_what_is_no_network_is_named(hierarchy, text, message):
    with pytest.raises(InputError, match=message):
        open_network(text, hierarchy)
