"""Nearest neighbours, exactly and in bounded memory (section C, Figures 2 and 3).

Everything is compared with everything, a block of both sides at a time: no more than a block of
the features that are searched, and a block of distances, is in memory.
"""

from typing import NamedTuple

import numpy as np

from vqv2.errors import InputError

BLOCK_NUMBERS = 2**23  # of float64 in a block of features or distances: 64 MiB


class Neighbours(NamedTuple):
    """The nearest of many for each of M queries, nearest first."""

    indices: np.ndarray  # (M, k) int64, places in what was searched
    distances: np.ndarray  # (M, k) float64, Euclidean


def nearest(queries, searched, k, numbers=BLOCK_NUMBERS):
    """The `Neighbours` of queries (M, D) among searched (N, D): the k nearest, or N if fewer.

    Of equally near ones the first comes first, unless rounding tells them apart. `numbers` bounds
    the blocks.
    """
    step = _rows(queries.shape[1], numbers)
    return nearest_in_blocks(
        queries, (searched[start : start + step] for start in range(0, len(searched), step)), k
    )


def nearest_in_blocks(queries, blocks, k):
    """`nearest`, where what is searched comes as an iterable of arrays (n, D).

    Raises `InputError` when there is nothing to search, or k is less than 1.
    """
    if k < 1:
        raise InputError(f"{k} nearest neighbours were asked for: ask for at least 1")
    found, start = None, 0
    for block in blocks:
        found = _merged(found, queries, block, start, k)
        start += len(block)
    if not start:
        raise InputError("there is nothing to search for nearest neighbours: add images")
    indices, squared = found
    return Neighbours(indices, np.sqrt(squared))


def nearest_images(network, images, source, k, indices=None, progress=lambda count: None):
    """The `Neighbours` of images (M, H, W, C) among those of an `ImageSource`, by their features.

    network   a feature network (`vqv2.lab.evaluation.features`)
    indices   which images of the source to search, default all; what is found are places in the
              source
    progress  called with the number of images of every block that has been searched

    One block of the source's images is in memory at a time.
    """
    queries = network.features(images)
    places = np.arange(len(source)) if indices is None else np.asarray(indices)
    # No more pixels than numbers of a block, and no more images than the network takes at once.
    step = min(network.block, _rows(source.size**2 * source.channels, BLOCK_NUMBERS))

    def blocks():
        for start in range(0, len(places), step):
            chosen = places[start : start + step]
            yield network.features(source.batch(chosen))
            progress(len(chosen))

    found = nearest_in_blocks(queries, blocks(), k)
    return Neighbours(places[found.indices], found.distances)


def check_finite_features(features):
    """Raise `InputError` unless all numbers of an array of features are finite."""
    if not np.isfinite(features).all():
        raise InputError("features are NaN or infinite: the network cannot take these images")


def squared_distances(a, b):
    """|a_i - b_j|^2 of (M, D) and (N, D), float64 (M, N).

    As |a|^2 - 2 a b + |b|^2, a matrix product, after moving the origin to the mean of `a`: what is
    subtracted is then no larger than it has to be. Never below 0. Raises `InputError` for features
    that are not finite.
    """
    return squared_distances_and_error(a, b)[0]


def squared_distances_and_error(a, b):
    """(`squared_distances`, how far any of them may be off by rounding, a number).

    Raises `InputError` for features that are not finite: NaN is neither near nor far.
    """
    check_finite_features(a)
    check_finite_features(b)
    origin = a.mean(axis=0, dtype=np.float64)
    a, b = a - origin, b - origin
    a_squared, b_squared = (a**2).sum(axis=1), (b**2).sum(axis=1)
    squared = a_squared[:, None] + b_squared
    squared -= 2 * (a @ b.T)
    # Each of three sums of D products is off by at most (D + 1) eps of what its terms sum up to.
    off = 4 * (a.shape[1] + 8) * np.finfo(np.float64).eps
    error = off * (a_squared.max(initial=0) + b_squared.max(initial=0))
    return np.maximum(squared, 0, out=squared), error


def _merged(found, queries, block, start, k):
    """The k best of what was `found` so far and a further block: (indices, squared distances)."""
    step = min(_rows(queries.shape[1], BLOCK_NUMBERS), _rows(len(block), BLOCK_NUMBERS))
    parts = []
    for first in range(0, len(queries), step):
        squared = squared_distances(queries[first : first + step], block)
        indices = np.broadcast_to(np.arange(start, start + len(block)), squared.shape)
        if found is not None:
            squared = np.concatenate([found[1][first : first + step], squared], axis=1)
            indices = np.concatenate([found[0][first : first + step], indices], axis=1)
        parts.append(_best(indices, squared, k))
    if not parts:
        return np.zeros((0, k), np.int64), np.zeros((0, k))
    return tuple(np.concatenate(side) for side in zip(*parts, strict=True))


def _best(indices, squared, k):
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(squared, order, axis=1)


def _rows(length, numbers):
    """How many rows of so many numbers fit."""
    return max(1, numbers // max(1, length))
