"""What test_communication starts in several processes: every assertion holds in each of them."""

import numpy as np

from backends.process.communication import connect


def own(rank, shape, dtype):
    """The array of one process; each can make everyone's."""
    return np.random.default_rng(rank).normal(0, 100, shape).astype(dtype)


def check_sums(communicator):
    # The largest is summed in parts, the others whole; 1 and 7 do not divide among three.
    for shape in ((), (0,), (1,), (7,), (3, 5), (7, 4001)):
        for dtype in (np.float32, np.float64, np.int64, np.uint64):
            everyone = [own(rank, shape, dtype) for rank in range(communicator.size)]
            total = communicator.all_reduce(everyone[communicator.rank])
            assert total.shape == shape and total.dtype == dtype
            np.testing.assert_array_equal(total, sum(everyone[1:], everyone[0]))
            again = communicator.all_gather(total)
            assert (again == again[0]).all(), "the same bits in all processes"


def check_gathering(communicator):
    for shape in ((), (0, 2), (3, 2)):
        for dtype in (np.float32, np.uint16, np.bool_):
            everyone = [own(rank, shape, dtype) for rank in range(communicator.size)]
            mine = everyone[communicator.rank].T  # not contiguous
            gathered = communicator.all_gather(mine)
            np.testing.assert_array_equal(gathered, np.stack([a.T for a in everyone]))
            given = communicator.broadcast(mine)
            np.testing.assert_array_equal(given, everyone[0].T)
            assert given.dtype == dtype


if __name__ == "__main__":
    several = connect()
    assert several.size == 3
    assert (several.here().rank, several.here().size) == (several.rank, 3)
    check_sums(several)
    check_gathering(several)
    several.barrier()
    if several.rank == 0:
        print("all is well")
