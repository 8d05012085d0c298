"""Samples in batches: whose turn it is."""

import numpy as np
import pytest

from backends.process.communication import Single
from vqv2.sampling import batch_size, draw_in_turns


class Rank(Single):
    """One of two processes; what the other one has is not there."""

    size = 2

    def __init__(self, rank):
        self.rank = rank


@pytest.mark.parametrize(
    ("communicator", "count", "first", "drawn"),
    [
        (Single(), 7, 0, [(0, 3), (3, 6), (6, 7)]),
        (Single(), 7, 2, [(2, 5), (5, 7)]),
        (Single(), 7, 7, []),
        (Rank(0), 14, 0, [(0, 3), (6, 9), (12, 14)]),
        (Rank(1), 14, 0, [(3, 6), (9, 12)]),
        (Rank(1), 14, 4, [(7, 10), (13, 14)]),  # gone on with: turns begin where it stopped
    ],
)
def test_every_batch_is_drawn_by_one_process(communicator, count, first, drawn):
    asked = []

    def draw(places):
        asked.append((places.start, places.stop))
        return {"top": np.arange(places.start, places.stop)[:, None, None] + 1}

    found = np.zeros(count, np.int64)
    for places, codes in draw_in_turns(draw, count, 3, {"top": 1}, communicator, first):
        found[places] = codes["top"][:, 0, 0]
    assert asked == drawn
    own = [place for start, stop in drawn for place in range(start, stop)]
    assert np.flatnonzero(found).tolist() == own and (found[own] == np.array(own) + 1).all()


def test_processes_have_equal_shares():
    assert [batch_size(n, 32, Single()) for n in (5, 32, 100)] == [5, 32, 32]
    assert batch_size(9, 32, Rank(0)) == 5
