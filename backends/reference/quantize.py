"""Nearest-code search and codebook statistics (equations 1 and 3 of the paper).

Vectors are (N, D), a codebook is (K, D), codes are (N,) int64. No fast version ever holds an
N x K matrix of distances.
"""

from backends.arrays import array_module


def require_codes(codes, count):
    """Raise `IndexError` unless every one of `codes` is one of 0 ... count - 1."""
    if codes.size and not (codes.min() >= 0 and codes.max() < count):
        raise IndexError(f"codes run from {codes.min()} to {codes.max()}, outside 0 to {count - 1}")


def nearest_code(vectors, codebook):
    """Equation 1: k = argmin_j ||h - e_j||, ties to the lowest index. (N, D), (K, D) -> (N,).

    A distance that is NaN counts as the smallest, as in `numpy.argmin`; the first one wins.
    """
    xp = array_module(vectors)
    codes = xp.empty(len(vectors), xp.int64)
    for n, vector in enumerate(vectors):
        codes[n] = ((vector - codebook) ** 2).sum(axis=-1).argmin()
    return codes


def codebook_statistics(vectors, codes, count):
    """For every code: how many vectors chose it, (K,), and their sum, (K, D), in vectors' dtype.

    Raises `IndexError` for a code outside 0 ... count - 1.
    """
    require_codes(codes, count)
    xp = array_module(vectors)
    counts, sums = (
        xp.zeros(count, vectors.dtype),
        xp.zeros((count, vectors.shape[1]), vectors.dtype),
    )
    xp.add.at(counts, codes, 1)
    xp.add.at(sums, codes, vectors)
    return counts, sums
