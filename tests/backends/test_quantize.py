"""Which code is nearest: ties, numbers far from zero, NaN; codes out of range."""

import numpy as np
import pytest

from backends import kernels

VERSIONS = ("reference", "numba")


@pytest.fixture(params=VERSIONS)
def nearest_code(request):
    return kernels.nearest_code.versions[request.param]


def array(rows):
    return np.array(rows, np.float32)


def test_a_tie_goes_to_the_lowest_index(nearest_code):
    codebook = array([[9, 9], [1, 0], [-1, 0], [1, 0], [0, 1]])
    assert nearest_code(array([[0, 0], [1, 0], [0, 2]]), codebook).tolist() == [1, 1, 4]


def test_neighbours_far_from_zero_are_told_apart(nearest_code):
    codebook = array([[1e6], [1e6 + 1], [1e6 + 2]])
    assert nearest_code(codebook + array([[0.25]]), codebook).tolist() == [0, 1, 2]


def test_nearest_of_random_vectors_up_to_rounding(nearest_code):
    rng = np.random.default_rng(0)
    vectors, codebook = rng.standard_normal((300, 16)), rng.standard_normal((50, 16))
    distances = ((vectors[:, None] - codebook) ** 2).sum(-1)
    codes = nearest_code(array(vectors), array(codebook))
    chosen = distances[np.arange(300), codes]
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-5)


def test_vector_with_nan_gets_code_0_and_leaves_the_others_alone(nearest_code):
    codebook = array([[5, 5], [0, 0], [1, 1]])
    vectors = array([[0, 0], [np.nan, 0], [1, 1], [np.nan, np.nan]])
    assert nearest_code(vectors, codebook).tolist() == [1, 0, 2, 0]


def test_first_code_with_nan_is_chosen_by_all(nearest_code):
    codebook = array([[0, 0], [1, np.nan], [np.nan, 0], [2, 2]])
    assert nearest_code(array([[0, 0], [2, 2]]), codebook).tolist() == [1, 1]


def test_infinitely_far_vector_gets_code_0(nearest_code):
    assert nearest_code(array([[np.inf, 0]]), array([[0, 0], [1, 1]])).tolist() == [0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bad", [-1, 3])
def test_code_out_of_range_is_refused(version, bad):
    function = kernels.codebook_statistics.versions[version]
    with pytest.raises(IndexError, match="outside 0 to 2"):
        function(np.ones((2, 4), np.float32), np.array([0, bad]), 3)
