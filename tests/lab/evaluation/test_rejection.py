"""Rejection sampling: the ranking, what is kept, and the figures about it."""

import numpy as np
import pytest

from vqv2.config import ClassifierConfig
from vqv2.errors import InputError
from vqv2.lab.classifier.model import Classifier
from vqv2.lab.evaluation import rejection


def test_the_most_confident_come_first_and_ties_as_drawn():
    order = rejection.ranking(np.array([0.2, 0.9, 0.2, 0.5]))
    assert order.tolist() == [1, 3, 0, 2]
    assert rejection.best(order, 50).tolist() == [1, 3]
    assert rejection.best(order, 1).tolist() == [1]  # never none
    assert rejection.best(order, 100).tolist() == order.tolist()


def test_spread_is_the_distance_between_two_of_them():
    images = np.random.default_rng(0).random((7, 3, 3, 1))
    pixels = images.reshape(7, -1)
    squared = [((pixels[i] - pixels[j]) ** 2).sum() for i in range(7) for j in range(7) if i != j]
    assert rejection.spread(images) == pytest.approx(np.sqrt(np.mean(squared)))
    assert np.isnan(rejection.spread(images[:1]))
    eight_bits = np.rint(images * 255).astype(np.uint8)
    assert rejection.spread(eight_bits) == pytest.approx(rejection.spread(images), rel=0.01)


def test_the_trade_off_of_a_class():
    # Ten samples: the more confident, the more alike; three of them are taken for another class.
    rng = np.random.default_rng(0)
    confidences = np.linspace(0.05, 0.95, 10)[rng.permutation(10)]
    probabilities = np.stack([1 - confidences, confidences], axis=1)
    images = rng.random((10, 4, 4, 1)) * (1.1 - confidences)[:, None, None, None]
    judged = np.where(confidences[:, None] > 0.3, [0.4, 0.6], [0.6, 0.4])
    scale = rejection.spread(rng.random((20, 4, 4, 1)))
    rows = rejection.trade_off(images, 1, probabilities, judged, scale, (10, 50, 100))
    assert [(row.percentage, row.count) for row in rows] == [(10, 1), (50, 5), (100, 10)]
    best = np.sort(confidences)[::-1]
    np.testing.assert_allclose([row.confidence for row in rows],
                               [best[0], best[:5].mean(), best.mean()])  # fmt: skip
    assert [row.accuracy for row in rows] == [1, 1, 0.5]
    assert [row.judged for row in rows] == [1, 1, 0.7]
    assert np.isnan(rows[0].diversity) and rows[1].diversity < rows[2].diversity
    assert rows[2].diversity == pytest.approx(rejection.spread(images) / scale)
    (alone,) = rejection.trade_off(images, 1, probabilities, None, 0.0, (100,))
    assert np.isnan(alone.judged) and np.isnan(alone.diversity)  # no judge, real images all alike


def test_the_mean_over_classes():
    table = [rejection.Kept(10, 2, 0.5, 1.0, np.nan, 0.2), rejection.Kept(100, 20, 0.1, 0, 1, 1)]
    other = [rejection.Kept(10, 3, 0.7, 0.0, np.nan, 0.4), rejection.Kept(100, 30, 0.3, 1, 1, 1)]
    first, last = rejection.mean_over_classes([table, other])
    assert (first.percentage, first.count) == (10, 5)
    assert first.confidence == pytest.approx(0.6) and first.accuracy == 0.5
    assert np.isnan(first.judged) and first.diversity == pytest.approx(0.3)
    assert last == rejection.Kept(100, 50, pytest.approx(0.2), 0.5, 1, 1)


def test_what_is_shown_is_drawn_from_the_best_only():
    order = np.random.default_rng(0).permutation(200)
    chosen = rejection.shown(order, 10, 15, np.random.default_rng(1))
    assert len(set(chosen.tolist())) == 15 and set(chosen.tolist()) <= set(order[:20].tolist())
    drawn = {tuple(rejection.shown(order, 10, 15, np.random.default_rng(s))) for s in range(3)}
    assert len(drawn) == 3
    assert sorted(rejection.shown(order, 1, 15, np.random.default_rng(1))) == sorted(order[:2])


def test_images_are_fitted_to_the_classifier():
    config = ClassifierConfig(image_size=8, channels=1, hidden_units=2, feature_units=4)
    classifier = Classifier(config, ("a", "b"), np.random.default_rng(0))
    images = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    found = rejection.class_probabilities(classifier, images, batch=2)
    assert found.shape == (5, 2)
    np.testing.assert_allclose(
        found, rejection.class_probabilities(classifier, images / np.float32(255)), atol=1e-6
    )


def test_classes_must_be_those_of_the_classifier():
    named, numbered = ("a", "b"), ("0", "1")
    for own, names in ((named, named), (named, numbered), (numbered, named)):
        rejection.check_classes(own, names, "the run")
    for own, names in ((named, ("b", "a")), (named, ("a", "b", "c")), (numbered, ("a",)),
                       (numbered, ("0", "1", "2")), (named, ())):  # fmt: skip
        with pytest.raises(InputError, match="but the run has"):
            rejection.check_classes(own, names, "the run")
