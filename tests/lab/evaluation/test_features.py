"""Feature networks: what a layer puts out, in blocks, and nothing of the network is changed."""

import numpy as np
import pytest

from backends import to_device, to_host
from tests.small import AUTOENCODER
from vqv2.autodiff import Tensor, no_grad
from vqv2.errors import InputError
from vqv2.lab.evaluation.features import (
    FeatureNetwork,
    LayerFeatures,
    Pixels,
    encoder_features,
    fitted,
    part_of,
    source_features,
)
from vqv2.models.autoencoder import Autoencoder

RNG = np.random.default_rng(0)
IMAGES = RNG.random((5, 16, 16, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def autoencoder():
    return Autoencoder(AUTOENCODER, np.random.default_rng(1))


def test_pixels_are_the_image_in_raster_order():
    features = Pixels(16, 3, block=2).features(IMAGES)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, IMAGES.reshape(5, -1))


def encoder_outputs(autoencoder, images):
    """What the encoders give, finest first: each reads the one before."""
    outputs, x = [], Tensor(to_device(images - np.float32(0.5)))
    with no_grad():
        for encoder in reversed(autoencoder.encoders):
            x = encoder(x)
            outputs.append(to_host(x.array))
    return outputs


@pytest.mark.parametrize("block", [1, 2, 64])
def test_encoder_features_are_the_top_encoders_output(autoencoder, block):
    top = encoder_outputs(autoencoder, IMAGES)[1]
    pooled = encoder_features(autoencoder, block=block).features(IMAGES)
    np.testing.assert_allclose(pooled, top.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)
    whole = encoder_features(autoencoder, pooled=False, block=block).features(IMAGES)
    np.testing.assert_allclose(whole, top.reshape(5, -1), rtol=1e-4, atol=1e-6)


def test_any_named_layer(autoencoder):
    bottom = encoder_outputs(autoencoder, IMAGES)[0]
    network = LayerFeatures(
        "bottom", autoencoder, "encoders.1.refinement.stack", 16, 3, pooled=False
    )
    np.testing.assert_allclose(network.features(IMAGES), bottom.reshape(5, -1), rtol=1e-4)


def test_the_network_is_afterwards_what_it_was(autoencoder):
    before = autoencoder.encode(IMAGES)
    kinds = [type(encoder) for encoder in autoencoder.encoders]
    encoder_features(autoencoder).features(IMAGES)
    assert [type(encoder) for encoder in autoencoder.encoders] == kinds
    for level, codes in autoencoder.encode(IMAGES).items():
        np.testing.assert_array_equal(codes, before[level])
    broken = LayerFeatures("x", autoencoder, "encoders.0", 16, 3)
    broken.module = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        broken.features(IMAGES)
    assert [type(encoder) for encoder in autoencoder.encoders] == kinds


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("nothing", "the network has encoders, projections"),
        ("encoders.7", "encoders has 0, 1"),
        ("encoders", "choose one of encoders.0, encoders.1"),
        (
            "encoders.0.refinement.convolution.weight",
            "encoders.0.refinement.convolution has no parts",
        ),
    ],
)
def test_a_layer_that_does_not_exist_is_named_beside_those_that_do(autoencoder, layer, message):
    with pytest.raises(InputError, match=message):
        part_of(autoencoder, layer)


def test_a_layer_that_gives_no_features_is_refused(autoencoder):
    with pytest.raises(InputError, match="does not put out one tensor"):
        LayerFeatures("q", autoencoder, "quantizers.0", 16, 3).features(IMAGES)
    unused = Autoencoder(AUTOENCODER, np.random.default_rng(0))
    network = LayerFeatures("x", autoencoder, "encoders.0", 16, 3)
    network.layer = unused.encoders[0]
    with pytest.raises(InputError, match="takes no part"):
        network.features(IMAGES)


class Recorder(FeatureNetwork):
    """Remembers the shapes of the blocks it was given."""

    def __init__(self, size, channels):
        super().__init__("recorder", size, channels, block=3)
        self.shapes = []

    def _block(self, images):
        self.shapes.append(images.shape)
        return images.mean(axis=(1, 2))


def test_images_are_fitted_to_the_network_and_come_in_blocks():
    network = Recorder(8, 1)
    features = network.features(np.ones((7, 16, 16, 3)))
    assert network.shapes == [(3, 8, 8, 1), (3, 8, 8, 1), (1, 8, 8, 1)]
    np.testing.assert_allclose(features, 1, rtol=1e-6)


def test_fitting_repeats_grey_averages_when_shrinking_and_leaves_what_fits():
    grey = RNG.random((2, 4, 4, 1), dtype=np.float32)
    np.testing.assert_array_equal(fitted(grey, 4, 3), grey.repeat(3, axis=3))
    assert fitted(grey, 4, 1) is grey
    flat = np.broadcast_to(np.array([1.0, 0, 0], np.float32), (1, 4, 4, 3))
    np.testing.assert_allclose(fitted(flat, 4, 1), 0.299, rtol=1e-6)
    checks = (np.indices((8, 8)).sum(axis=0) % 2).astype(np.float32)[None, :, :, None]
    np.testing.assert_allclose(fitted(checks, 2, 1), 0.5, atol=0.05)


def test_features_of_a_source_are_those_of_its_images():
    class Source:
        def batch(self, indices):
            return IMAGES[indices]

    features = source_features(Pixels(16, 3), Source(), np.array([3, 0, 4]), block=2)
    np.testing.assert_array_equal(features, IMAGES[[3, 0, 4]].reshape(3, -1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4, 3)), "shape"),
        (np.zeros((0, 4, 4, 3)), "at least one"),
        (np.zeros((1, 4, 4, 2)), "C 1 or 3"),
        (np.zeros((1, 4, 4, 3), np.uint8), "uint8"),
    ],
)
def test_what_is_no_stack_of_images_is_refused(images, message):
    with pytest.raises(InputError, match=message):
        Pixels(4, 3).features(images)
