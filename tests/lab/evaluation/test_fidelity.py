"""Fréchet distance, precision and recall against closed forms and plain loops."""

import numpy as np
import pytest

from vqv2.errors import InputError
from vqv2.lab.evaluation.bootstrap import estimate, share
from vqv2.lab.evaluation.fidelity import (
    Gaussian,
    fidelity,
    frechet_distance,
    gaussian_frechet_distance,
    precision_and_recall,
    share_inside,
)
from vqv2.lab.evaluation.manifold import inside_manifold, manifold_radii
from vqv2.lab.evaluation.neighbours import nearest

RNG = np.random.default_rng(0)


def square_root(matrix):
    """Of a matrix without eigenvalues <= 0, by the iteration of Denman and Beavers (1976)."""
    y, z = matrix, np.eye(len(matrix))
    for _ in range(60):
        y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
    np.testing.assert_allclose(y @ y, matrix, rtol=1e-6, atol=1e-9)
    return y


def definition(a, b):
    """The Fréchet distance as it is written down, for covariances of full rank."""
    covariances = [np.cov(features, rowvar=False) for features in (a, b)]
    root = square_root(covariances[0] @ covariances[1])
    difference = a.mean(axis=0) - b.mean(axis=0)
    return difference @ difference + sum(map(np.trace, covariances)) - 2 * np.trace(root)


def features(count, length, rng=RNG):
    """Correlated features with a mean that is not 0."""
    mixing = rng.standard_normal((length, length))
    return rng.standard_normal((count, length)) @ mixing + rng.standard_normal(length)


@pytest.mark.parametrize(("length", "counts"), [(1, (9, 30)), (4, (50, 70)), (9, (200, 40))])
def test_frechet_distance_is_its_definition(length, counts):
    a, b = (features(count, length) for count in counts)
    if length > 1:
        assert frechet_distance(a, b) == pytest.approx(definition(a, b), rel=1e-8)
    else:
        deviations = a.std(ddof=1) - b.std(ddof=1)
        expected = (a.mean() - b.mean()) ** 2 + deviations**2
        assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))


def test_of_diagonal_covariances_it_is_the_distance_of_means_and_deviations():
    deviations = np.array([[1.0, 2, 0.5], [3, 0, 0.25]])  # one of them 0: singular
    means = np.array([[0.0, 1, 2], [1, 1, -1]])
    a, b = (Gaussian.from_moments(m, np.diag(s**2)) for m, s in zip(means, deviations, strict=True))
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    assert gaussian_frechet_distance(a, b) == pytest.approx(expected)


def test_scaling_features_about_the_origin():
    a = features(30, 5)
    covariance = np.cov(a, rowvar=False)
    expected = 0.25 * (a.mean(axis=0) @ a.mean(axis=0) + np.trace(covariance))
    assert frechet_distance(a, 1.5 * a) == pytest.approx(expected)


def test_a_set_has_no_distance_from_itself_nor_from_a_shuffled_copy():
    for count in (3, 40):
        a = features(count, 6).astype(np.float32)
        assert frechet_distance(a, RNG.permutation(a)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("counts", [(4, 5), (4, 30), (7, 7)])
def test_fewer_features_than_dimensions_are_as_good_as_their_singular_covariance(counts):
    a, b = (features(count, 7) for count in counts)
    moments = [Gaussian.from_moments(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (a, b)]
    assert frechet_distance(a, b) == pytest.approx(gaussian_frechet_distance(*moments), rel=1e-6)


def test_blocks_change_no_moments(monkeypatch):
    a = features(50, 4).astype(np.float32)
    monkeypatch.setattr("vqv2.lab.evaluation.fidelity.BLOCK_NUMBERS", 12)
    found = Gaussian.of(a)
    np.testing.assert_allclose(found.mean, a.astype(float).mean(axis=0))
    np.testing.assert_allclose(found.root.T @ found.root, np.cov(a.astype(float), rowvar=False))


def test_features_that_have_no_covariance_are_refused():
    with pytest.raises(InputError, match=r"shape \(1, 3\)"):
        frechet_distance(features(5, 3), features(1, 3))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(number):
    good, bad = features(5, 3), features(5, 3)
    bad[2, 1] = number
    for compare in (frechet_distance, precision_and_recall, lambda a, b: nearest(a, b, 1)):
        for pair in ((good, bad), (bad, good)):
            with pytest.raises(InputError, match="NaN or infinite"):
                compare(*pair)


def ball_members(points, centres, k):
    """Which points lie in a ball around a centre that reaches to its k-th nearest other one."""
    inside = np.zeros(len(points), bool)
    for i, centre in enumerate(centres):
        others = np.delete(centres, i, axis=0)
        radius = np.sort(np.linalg.norm(others - centre, axis=1))[k - 1]
        inside |= np.linalg.norm(points - centre, axis=1) <= radius
    return inside


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("numbers", [1, 100, 2**20])
def test_manifolds_are_balls_to_the_kth_nearest_other(k, numbers):
    real, points = RNG.standard_normal((25, 3)), 1.5 * RNG.standard_normal((31, 3))
    found = inside_manifold(points, real, manifold_radii(real, k), numbers)
    np.testing.assert_array_equal(found, ball_members(points, real, k))
    assert 0 < found.mean() < 1


def test_precision_and_recall_are_shares_of_the_two_sides():
    real = np.arange(10.0)[:, None]
    generated = np.array([0.5, 0.6, 0.7, 100.0, 101.0, 102.0])[:, None]
    precision, recall = precision_and_recall(real, generated, k=1)
    assert precision == 3 / 6  # the real ones' balls reach 1 far
    assert recall == 0  # those of the generated ones 0.1 and 1: no whole number is in one
    assert precision_and_recall(real, generated, k=3)[1] == 1  # and now all are


def few_valued(rng, values, length):
    """Two sets with many equal distances, whose squares are whole numbers."""
    return rng.integers(0, values, (80, length)), rng.integers(0, values, (60, length))


def copies(rng, length):
    """12 points 5 times, and the same in another order."""
    points = np.repeat(30 * rng.standard_normal((12, length)), 5, axis=0)
    return points, rng.permutation(points)


def exact_share(points, centres, k=3):
    """The share of points inside, from differences alone: exact for whole numbers and copies."""
    squared = ((centres[:, None] - centres) ** 2).sum(axis=2)
    radii = np.sort(squared, axis=1)[:, k]
    return (((points[:, None] - centres) ** 2).sum(axis=2) <= radii).any(axis=1).mean()


TIES = {
    "16 numbers 0 or 1": few_valued(np.random.default_rng(0), 2, 16),
    "64 numbers 0, 1 or 2": few_valued(np.random.default_rng(0), 3, 64),
    "black and white pictures": few_valued(np.random.default_rng(0), 2, 784),
    "copies of 3 numbers": copies(np.random.default_rng(0), 3),
    "copies of 512 numbers": copies(np.random.default_rng(0), 512),
    "copies, and some of them": (lambda x, _: (x, x[:25]))(*copies(np.random.default_rng(1), 512)),
}


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("name", TIES)
def test_where_distances_tie_the_edge_of_a_ball_is_inside(name, offset):
    real, generated = TIES[name]
    expected = exact_share(generated, real), exact_share(real, generated)
    # An origin elsewhere, where no number is a whole one, rounds what was equal.
    found = precision_and_recall(real.astype(np.float64) + offset, generated + offset)
    assert found == pytest.approx(expected)
    if len(real) == len(generated) == 60:
        assert found == (1, 1)


def test_precision_falls_with_noise_and_recall_with_collapse():
    real = RNG.standard_normal((300, 2))
    noisy, collapsed = 4 * RNG.standard_normal((300, 2)), 0.1 * RNG.standard_normal((300, 2))
    same = precision_and_recall(real, RNG.standard_normal((300, 2)))
    assert min(same) > 0.85
    assert precision_and_recall(real, noisy)[0] < 0.6
    assert precision_and_recall(real, collapsed)[1] < 0.3
    assert precision_and_recall(real, collapsed)[0] > 0.95


def test_a_manifold_needs_more_points_than_neighbours():
    with pytest.raises(InputError, match="at least 4"):
        precision_and_recall(RNG.standard_normal((3, 2)), RNG.standard_normal((9, 2)))


def test_the_interval_of_a_mean_is_that_of_statistics():
    sample = RNG.standard_normal(400)
    found = estimate(np.mean, [sample], np.random.default_rng(1), replicates=2000)
    half = 1.96 * sample.std() / 20
    assert found.value == sample.mean()
    assert found.low == pytest.approx(sample.mean() - half, abs=0.015)
    assert found.high == pytest.approx(sample.mean() + half, abs=0.015)


def test_an_interval_holds_its_value_even_when_every_replicate_is_larger():
    a, b = RNG.standard_normal((60, 8)), RNG.standard_normal((60, 8))
    found = fidelity(a, b, np.random.default_rng(0)).frechet
    assert found.low < found.value < found.high
    resampled = [
        frechet_distance(a[RNG.integers(60, size=60)], b[RNG.integers(60, size=60)])
        for _ in range(20)
    ]
    assert min(resampled) > found.value  # why the interval is moved
    again = fidelity(a, b, np.random.default_rng(0)).frechet
    assert again == found


def test_the_interval_of_a_share_knows_that_the_manifold_was_sampled_too():
    # Half of the points lie in a crowd of balls, the others in that of a single lonely feature.
    crowd, lonely = 0.1 * RNG.standard_normal((60, 2)), np.array([[50.0, 0]])
    real = np.concatenate([crowd, lonely])
    points = np.concatenate([crowd, crowd, crowd + [20, 0], crowd + [20, 0]])
    found = share_inside(points, real, np.random.default_rng(0))
    assert found.value == 1
    alone = share(np.arange(240) < 120, np.random.default_rng(0))  # of as many independent points
    assert alone.high - alone.low < 0.15
    assert found.high - found.low > 0.3
    certain = share_inside(points[:120], real, np.random.default_rng(0))
    assert certain.low > 0.9


def test_a_share_inside_is_that_of_precision_and_recall():
    real, generated = RNG.standard_normal((40, 3)), RNG.standard_normal((30, 3)) + 0.5
    found = fidelity(real, generated, np.random.default_rng(0), replicates=50)
    expected = precision_and_recall(real, generated)
    assert (found.precision.value, found.recall.value) == expected
    for one in (found.precision, found.recall):
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_a_share_stays_between_none_and_all():
    assert share([True] * 5, np.random.default_rng(0)) == (1, 1, 1)
    found = share([True] * 30 + [False], np.random.default_rng(0))
    assert found.low < found.value == 30 / 31 < found.high <= 1
