"""Nearest neighbours against sorting all distances, in blocks of every size."""

import numpy as np
import pytest

from vqv2.errors import InputError
from vqv2.lab.evaluation.features import FeatureNetwork, Pixels
from vqv2.lab.evaluation.neighbours import (
    nearest,
    nearest_images,
    nearest_in_blocks,
    squared_distances,
)

RNG = np.random.default_rng(0)
QUERIES = RNG.standard_normal((7, 5)).astype(np.float32)
SEARCHED = RNG.standard_normal((40, 5)).astype(np.float32)


def brute_force(queries, searched, k):
    """(indices, distances), one pair at a time."""
    distances = np.array([[np.linalg.norm(q.astype(float) - s) for s in searched] for q in queries])
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("k", [1, 3, 40, 41])
@pytest.mark.parametrize("numbers", [1, 35, 2**20])
def test_nearest_is_what_sorting_all_distances_finds(k, numbers):
    found = nearest(QUERIES, SEARCHED, k, numbers)
    indices, distances = brute_force(QUERIES, SEARCHED, k)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9)


def test_of_equally_near_ones_the_first_comes_first():
    searched = np.array([[2.0], [1], [1], [1], [0]])
    blocks = [searched[:2], searched[2:]]
    assert nearest_in_blocks(np.zeros((1, 1)), blocks, 3).indices.tolist() == [[4, 1, 2]]


def test_distances_are_exact_far_from_the_origin():
    a = RNG.standard_normal((6, 3))
    expected = ((a[:, None] - a[None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(squared_distances(a + 1e6, a + 1e6), expected, atol=1e-8)


def test_nothing_to_search_and_nothing_to_find_are_refused():
    with pytest.raises(InputError, match="nothing to search"):
        nearest(QUERIES, SEARCHED[:0], 1)
    with pytest.raises(InputError, match="at least 1"):
        nearest(QUERIES, SEARCHED, 0)


class Source:
    """Images whose pixels all have one value; notes how many are read at a time."""

    size, channels = 4, 1

    def __init__(self, values):
        self.values = np.array(values, np.float32)
        self.read = []

    def __len__(self):
        return len(self.values)

    def batch(self, indices):
        """Images of one value each."""
        self.read.append(len(indices))
        return np.broadcast_to(self.values[indices][:, None, None, None], (len(indices), 4, 4, 1))


def test_images_are_found_in_a_source_block_by_block():
    source = Source([0.9, 0.1, 0.5, 0.52, 0.0])
    images = np.full((1, 4, 4, 1), 0.51, np.float32)
    counted = []
    network = Pixels(4, 1, block=2)
    found = nearest_images(network, images, source, 3, progress=counted.append)
    assert found.indices.tolist() == [[2, 3, 0]] or found.indices.tolist() == [[3, 2, 0]]
    np.testing.assert_allclose(sorted(found.distances[0]), [0.04, 0.04, 1.56], rtol=1e-4)
    assert source.read == counted == [2, 2, 1]
    some = nearest_images(network, images, source, 2, indices=[0, 4, 3])
    assert some.indices.tolist() == [[3, 0]]


def test_a_feature_network_decides_what_is_near():
    class Darkness(FeatureNetwork):
        """One number, which only asks how far from grey an image is."""

        def _block(self, images):
            return np.abs(images.mean(axis=(1, 2)) - 0.5)

    source = Source([0.6, 0.3, 1.0])
    images = np.full((1, 4, 4, 1), 0.69, np.float32)
    assert nearest_images(Pixels(4, 1), images, source, 1).indices.tolist() == [[0]]
    found = nearest_images(Darkness("darkness", 4, 1), images, source, 1)
    assert found.indices.tolist() == [[1]]
