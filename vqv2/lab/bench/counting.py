"""Floating-point operations of a model's arithmetic, counted while it runs.

Only products count (convolutions, 1x1 convolutions, attention): in these models the rest is below
a few per cent. A multiply-add is 2 operations. What a formula does not need is not counted: the
closed taps of a causal convolution, the closed half of an attention matrix, or a segment that
recomputation computes twice. Padding zeros do count, as is usual.
"""

import contextlib

import vqv2.functional as F


def positions(array):
    """Number of positions of a map (N, H, W, C): all axes but the last."""
    return array.size // max(1, array.shape[-1])


# Forward operations from (output, first argument, second argument, third or None).
FORMULAS = {
    "conv2d": lambda y, x, w, _: 2 * positions(y) * w.size,
    "conv_transpose2d": lambda y, x, w, _: 2 * positions(x) * w.size,
    "causal_conv2d": lambda y, x, w, _: 2 * positions(y) * w.size,
    "linear": lambda y, x, w, _: 2 * positions(x) * w.size,
    # Position i meets i others: L (L - 1) / 2 pairs, each with a query and a value product.
    "causal_attention": lambda y, q, k, v: (
        positions(q) * (q.shape[-2] - 1) * (q.shape[-1] + v.shape[-1])
    ),
}


class Count:
    """Operations counted so far."""

    def __init__(self):
        self.forward = 0
        self.backward = 0

    @property
    def total(self):
        """Of a forward and a backward pass."""
        return self.forward + self.backward


@contextlib.contextmanager
def counted():
    """Context manager: a `Count` that fills as operations of `vqv2.functional` run inside.

    Backward operations are those that the recorded tape will take: as many again for each factor
    of a product that needs a gradient.
    """
    count = Count()
    originals = {name: getattr(F, name) for name in FORMULAS}
    for name, operation in originals.items():
        setattr(F, name, _counting(operation, FORMULAS[name], count))
    try:
        yield count
    finally:
        for name, operation in originals.items():
            setattr(F, name, operation)


def _counting(operation, formula, count):
    def counting(*arguments, **settings):
        output = operation(*arguments, **settings)
        first, second, third = (*arguments, None)[:3]
        flops = formula(output, first, second, third)
        count.forward += flops
        # Attention's queries and keys stand for its two products, four of whose gradients follow.
        factors = [getattr(a, "requires_grad", False) for a in (first, second)]
        count.backward += flops * sum(factors)
        return output

    return counting
