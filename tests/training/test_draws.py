"""The order of the data: every image once per epoch, whatever the batch."""

import numpy as np
import pytest

from vqv2.training.draws import batch_indices


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (7, 7), (5, 12), (1, 3)])
def test_every_epoch_is_a_permutation(count, batch):
    stream = np.concatenate([batch_indices(3, step, batch, count) for step in range(1, 40)])
    for epoch in range(len(stream) // count):
        part = stream[epoch * count : (epoch + 1) * count]
        assert sorted(part) == list(range(count))


def test_epochs_and_seeds_differ():
    first = batch_indices(0, 1, 50, 50)
    assert (first != batch_indices(0, 2, 50, 50)).any()
    assert (first != batch_indices(1, 1, 50, 50)).any()
    np.testing.assert_array_equal(first, batch_indices(0, 1, 50, 50))
