"""Matrix products."""


def matmul(a, b):
    """a b: (M, K), (K, N) -> (M, N). Either may be a transposed matrix."""
    return a @ b
