"""The manifold of a set of features: balls that reach to the k-th nearest other feature.

Kynkäänniemi et al., 2019. What lies on the edge of a ball is inside. In few-valued features, and
among copies, much does, so that no rounding may decide it: distances are compared as a matrix
product gives them only where that is sure, all other pairs as |a - b|^2, number by number.
"""

import numpy as np

from vqv2.errors import InputError
from vqv2.lab.evaluation.neighbours import BLOCK_NUMBERS, squared_distances_and_error

NEIGHBOURS = 3  # k, as in their paper


def manifold_radii(features, k=NEIGHBOURS, numbers=BLOCK_NUMBERS):
    """Distance (N,) of each of the features (N, D) to its k-th nearest other one.

    Raises `InputError` when there are not more than k of them.
    """
    if len(features) <= k:
        raise InputError(
            f"{len(features)} features cannot have {k} nearest others: give at least {k + 1}"
        )
    radii = np.zeros(len(features))
    for rows in _slices(len(features), max(features.shape), numbers):
        squared, error = _distances(features[rows], features, numbers)
        reach = np.partition(squared, k, axis=1)[:, k, None]  # the nearest of all is itself
        near = np.nonzero(squared <= reach + 2 * error)  # so the k + 1 nearest are among these
        squared[...] = np.inf
        squared[near] = _exact(features[rows], features, *near, numbers)
        radii[rows] = np.sqrt(np.partition(squared, k, axis=1)[:, k])
    return radii


def inside_manifold(points, features, radii, numbers=BLOCK_NUMBERS):
    """Which of the points (M, D) lie within the radius of at least one of the features: (M,) bool.

    A block of distances, of `numbers` numbers, is in memory at a time.
    """
    blocks = inside_balls(points, features, radii, numbers)
    return np.concatenate([block.any(axis=1) for block in blocks])


def inside_balls(points, features, radii, numbers=BLOCK_NUMBERS):
    """Which points lie in the ball of which features: bool (m, N), a block of points at a time."""
    squared_radii = np.asarray(radii, np.float64) ** 2 * (1 + _rounding(features.shape[1]))
    for rows in _slices(len(points), max(features.shape), numbers):
        squared, error = _distances(points[rows], features, numbers)
        inside = squared <= squared_radii - error
        open_cases = np.nonzero(~inside & (squared <= squared_radii + error))
        exact = _exact(points[rows], features, *open_cases, numbers)
        inside[open_cases] = exact <= squared_radii[open_cases[1]]
        yield inside


def _distances(points, features, numbers):
    """(squared distances (m, N) by matrix products, how far any of them may be off)."""
    squared, largest = np.empty((len(points), len(features))), 0.0
    for columns in _slices(len(features), features.shape[1], numbers):
        squared[:, columns], error = squared_distances_and_error(points, features[columns])
        largest = max(largest, error)
    return squared, largest


def _exact(a, b, rows, columns, numbers):
    """|a_i - b_j|^2 of pairs (P,) of rows i and j of (M, D) and (N, D), of equal ones exactly 0.

    Summed in one order for all, with a relative error below `_rounding`.
    """
    squared = np.empty(len(rows))
    for pairs in _slices(len(rows), a.shape[1], numbers):
        difference = a[rows[pairs]].astype(np.float64) - b[columns[pairs]]
        squared[pairs] = (difference**2).sum(axis=1)
    return squared


def _rounding(length):
    """A bound of the relative error of a sum of so many squares, twice."""
    return 2 * (length + 8) * np.finfo(np.float64).eps


def _slices(count, length, numbers):
    """Slices of `count` rows with at most `numbers` numbers each, if a row has no more."""
    step = max(1, numbers // max(1, length))
    return [slice(start, start + step) for start in range(0, count, step)]
