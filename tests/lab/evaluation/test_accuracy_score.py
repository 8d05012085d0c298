"""Train on one source, test on another, with a classifier simple enough to check by hand."""

import numpy as np
import pytest

from vqv2.data.array import ArrayImages
from vqv2.errors import InputError
from vqv2.lab.evaluation import accuracy_score
from vqv2.lab.evaluation.accuracy_score import classification_accuracy_score


def pictures(values, labels=None):
    """A source of 4x4 grey images, each of one brightness."""
    values = np.asarray(values, np.float32)[:, None, None, None]
    return ArrayImages(np.broadcast_to(values, (len(values), 4, 4, 1)), channels=1, labels=labels)


def nearest_mean(source):
    """A classifier that knows each class's mean brightness."""
    images = source.batch(np.arange(len(source))).mean(axis=(1, 2, 3))
    means = np.array([images[source.labels == c].mean() for c in np.unique(source.labels)])
    return lambda images: -np.abs(images.mean(axis=(1, 2, 3))[:, None] - means)


REAL = pictures([0.1, 0.2, 0.3, 0.8, 0.9, 0.52], np.array([0, 0, 0, 1, 1, 0]))


@pytest.mark.parametrize("batch", [1, 4, 256])
def test_the_score_is_how_often_it_is_right_about_real_images(batch, monkeypatch):
    monkeypatch.setattr(accuracy_score, "BATCH", batch)
    samples = pictures([0.0, 1.0], np.array([0, 1]))
    found = classification_accuracy_score(nearest_mean, samples, REAL, np.random.default_rng(0))
    assert found.accuracy.value == pytest.approx(5 / 6)  # 0.52 is nearer to 1 than to 0
    assert found.accuracy.low < 5 / 6 < found.accuracy.high <= 1
    np.testing.assert_allclose(found.by_class, [3 / 4, 1])


def test_samples_that_show_one_class_wrongly_cost_it():
    samples = pictures([0.0, 0.25], np.array([0, 1]))
    found = classification_accuracy_score(nearest_mean, samples, REAL, np.random.default_rng(0))
    np.testing.assert_allclose(found.by_class, [1 / 4, 1])


def test_class_numbers_do_as_well_as_scores_and_some_images_will_do():
    samples = pictures([0.0, 1.0], np.array([0, 1]))

    def train(source):
        assert source is samples
        return lambda images: np.zeros(len(images), int)

    rng = np.random.default_rng(0)
    found = classification_accuracy_score(train, samples, REAL, rng, indices=[0, 1, 2])
    assert found.accuracy == (1, 1, 1)
    assert np.isnan(found.by_class[1])


def test_sources_without_classes_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="has no classes"):
        classification_accuracy_score(nearest_mean, pictures([0.1, 0.5]), REAL, rng)
    with pytest.raises(InputError, match="has no classes"):
        classification_accuracy_score(nearest_mean, REAL, pictures([0.1, 0.5]), rng)
