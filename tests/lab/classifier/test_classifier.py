"""The classifier: its shapes, that it learns, and what it refuses."""

import numpy as np
import pytest

from vqv2.config import ClassifierConfig, replace
from vqv2.errors import InputError
from vqv2.lab.classifier.model import Classifier
from vqv2.optim import Adam

CONFIG = ClassifierConfig(image_size=8, channels=1, hidden_units=4, feature_units=8, dropout=0.2)
NAMES = ("horizontal", "vertical", "none")


def pictures(count, rng):
    """Images with horizontal stripes, with vertical ones, or without, and their labels."""
    labels = rng.integers(3, size=count)
    images = rng.random((count, 8, 8, 1), dtype=np.float32) / 2
    images[labels == 0, ::2] += 0.5
    images[labels == 1, :, ::2] += 0.5
    return images, labels


def test_it_learns_which_way_stripes_run():
    rng = np.random.default_rng(0)
    model = Classifier(CONFIG, NAMES, rng)
    optimizer = Adam(model.parameters(), 0.5)
    for _ in range(80):
        loss, _ = model.loss(*pictures(16, rng), rng=rng)
        loss.backward()
        optimizer.step(1e-2)
    images, labels = pictures(60, rng)
    probabilities = model.probabilities(images, batch=7)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.8
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities, model.probabilities(images), atol=1e-5)


def test_evaluation_is_deterministic_and_training_is_not():
    model = Classifier(CONFIG, NAMES, np.random.default_rng(0))
    images, _ = pictures(4, np.random.default_rng(1))
    trained = [model(images, np.random.default_rng(seed)).array for seed in (0, 1)]
    assert (trained[0] != trained[1]).any()  # dropout
    np.testing.assert_array_equal(model(images).array, model(images).array)


def test_without_dropout_nothing_is_left_to_chance():
    without = Classifier(replace(CONFIG, {"dropout": 0}), NAMES, np.random.default_rng(0))
    images, _ = pictures(4, np.random.default_rng(1))
    np.testing.assert_array_equal(
        without(images, np.random.default_rng(0)).array,
        without(images, np.random.default_rng(1)).array,
    )


@pytest.mark.parametrize("size", [4, 8, 12, 28, 32, 64])
def test_images_of_many_sizes_are_halved_until_they_are_small(size):
    config = replace(CONFIG, {"image_size": size, "channels": 3})
    model = Classifier(config, NAMES, np.random.default_rng(0))
    images = np.zeros((2, size, size, 3), np.float32)
    assert model(images).shape == (2, 3)
    assert model.trunk(images).shape == (2, 8)
    channels = [block.spatial.bias.size for block in model.trunk.blocks]
    assert channels == {4: [4], 8: [4], 12: [4, 8], 28: [4, 8], 32: [4, 8, 16],
                        64: [4, 8, 16, 16]}[size]  # fmt: skip


def test_probabilities_of_no_images():
    model = Classifier(CONFIG, NAMES, np.random.default_rng(0))
    assert model.probabilities(np.zeros((0, 8, 8, 1), np.float32)).shape == (0, 3)


def test_what_makes_no_model_is_refused():
    with pytest.raises(InputError, match="at least 2 classes, not 1"):
        Classifier(CONFIG, ["one"], np.random.default_rng(0))
    with pytest.raises(InputError, match="image_size 30 must be a multiple of 4"):
        replace(CONFIG, {"image_size": 30})
    with pytest.raises(InputError, match="augmentation='flip' must be one of none"):
        replace(CONFIG, {"augmentation": "flip"})
    model = Classifier(CONFIG, NAMES, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"expected \(N, 8, 8, 1\)"):
        model(np.zeros((2, 8, 8, 3), np.float32))
