"""How near generated images are to real ones, on the features of any network.

* Fréchet distance between the Gaussians of both sets of features (Heusel et al., 2017).
* Precision and recall of manifolds (Kynkäänniemi et al., 2019; `vqv2.lab.evaluation.manifold`).

What they say depends on the features, on their number (a Fréchet distance of few images is too
large), and on the decoder, which no prior can make better: compare with the figures of
reconstructions, of as many images. The paper does the same. All computations are in float64.
"""

from typing import NamedTuple

import numpy as np

from vqv2.errors import InputError
from vqv2.lab.evaluation.bootstrap import (
    REPLICATES,
    Estimate,
    around,
    estimate,
    resampled,
    within,
)
from vqv2.lab.evaluation.manifold import (
    NEIGHBOURS,
    inside_balls,
    inside_manifold,
    manifold_radii,
)
from vqv2.lab.evaluation.neighbours import BLOCK_NUMBERS, check_finite_features


class Gaussian(NamedTuple):
    """Mean and covariance of features; the covariance as a root of it, `root.T @ root`."""

    mean: np.ndarray  # (D,)
    root: np.ndarray  # (R, D), R as small as it can easily be

    @classmethod
    def of(cls, features):
        """The unbiased moments of features (N, D), N >= 2, as `numpy.cov` gives them.

        Raises `InputError` for fewer, and for features that are not finite.
        """
        features = np.asarray(features)
        if features.ndim != 2 or len(features) < 2:
            raise InputError(
                f"features have shape {features.shape}: a covariance needs (N, D) of at least 2"
            )
        check_finite_features(features)
        mean = features.mean(axis=0, dtype=np.float64)
        count, length = features.shape
        if count <= length:  # the features themselves are a root, and the covariance is singular
            return cls(mean, (features - mean) / np.sqrt(count - 1))
        covariance = np.zeros((length, length))
        step = max(1, BLOCK_NUMBERS // length)
        for start in range(0, count, step):
            block = features[start : start + step] - mean
            covariance += block.T @ block
        return cls.from_moments(mean, covariance / (count - 1))

    @classmethod
    def from_moments(cls, mean, covariance):
        """From mean (D,) and covariance (D, D), such as statistics that others have published.

        The root is sqrt(eigenvalues) times eigenvectors. Eigenvalues that rounding has made
        negative count as 0, so a singular covariance is as good as any.
        """
        eigenvalues, eigenvectors = np.linalg.eigh(np.asarray(covariance, np.float64))
        root = np.sqrt(np.maximum(eigenvalues, 0))[:, None] * eigenvectors.T
        return cls(np.asarray(mean, np.float64), root)


def gaussian_frechet_distance(a, b):
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of two `Gaussian`s.

    With roots A^T A = C_a and B^T B = C_b, the eigenvalues of C_a C_b are those of
    (A B^T)(A B^T)^T, so the trace of the square root is the sum of the singular values of A B^T:
    no square root of a matrix that is not symmetric, and no complex numbers, are needed.
    """
    shared = np.linalg.svd(a.root @ b.root.T, compute_uv=False).sum()
    difference = ((a.mean - b.mean) ** 2).sum()
    distance = difference + (a.root**2).sum() + (b.root**2).sum() - 2 * shared
    return float(max(0.0, distance))


def frechet_distance(real, generated):
    """The Fréchet distance between two sets of features, (N, D) and (M, D)."""
    return gaussian_frechet_distance(Gaussian.of(real), Gaussian.of(generated))


def precision_and_recall(real, generated, k=NEIGHBOURS):
    """(precision, recall) of features (N, D) and (M, D).

    Precision is the share of generated features inside the manifold of the real ones, recall that
    of the real ones inside the manifold of the generated ones.
    """
    precision = inside_manifold(generated, real, manifold_radii(real, k)).mean()
    recall = inside_manifold(real, generated, manifold_radii(generated, k)).mean()
    return float(precision), float(recall)


def share_inside(points, features, rng, k=NEIGHBOURS, replicates=REPLICATES):
    """The `Estimate` of how many of the points lie inside the manifold of the features.

    Both are resampled: a replicate has some of the points, and those balls whose features were
    drawn. The radii stay, as a feature drawn twice would be its own nearest neighbour.
    """
    radii = manifold_radii(features, k)
    drawn = np.zeros((len(features), replicates), np.float32)
    for replicate in range(replicates):
        drawn[resampled(len(features), rng), replicate] = 1
    every, some = [], []
    for inside in inside_balls(points, features, radii):
        every.append(inside.any(axis=1))
        some.append(inside.astype(np.float32) @ drawn > 0)  # in a ball of the replicate
    some = np.concatenate(some)
    shares = [column[resampled(len(points), rng)].mean() for column in some.T]
    return within(around(np.concatenate(every).mean(), shares), 0, 1)


class Fidelity(NamedTuple):
    """All figures of one set of images against real ones, with 95 % intervals."""

    frechet: Estimate
    precision: Estimate
    recall: Estimate


def fidelity(real, generated, rng, k=NEIGHBOURS, replicates=REPLICATES):
    """The `Fidelity` of generated features (M, D) against real ones (N, D).

    Each of the `replicates` takes about as long as the figures themselves.
    """
    real, generated = np.asarray(real), np.asarray(generated)
    return Fidelity(
        within(estimate(frechet_distance, [real, generated], rng, replicates), 0, np.inf),
        share_inside(generated, real, rng, k, replicates),
        share_inside(real, generated, rng, k, replicates),
    )
