"""Matrix products.

Of all products here, and in `conv` and `causal_conv`: with `rounded` the result may be rounded to
the selected precision, too (`backends.precision`), for one that only another product or a fused
kernel reads. A device does so, and saves half of the memory; the processor does not.
"""


def matmul(a, b, rounded=False):
    """a b: (M, K), (K, N) -> (M, N). Either may be a transposed matrix."""
    return a @ b


def factor(x):
    """x as products read it, to be made once for several of them: on the processor x itself.

    On a device in half precision it is rounded to 16 bits, and only products and fused kernels can
    read it.
    """
    return x
