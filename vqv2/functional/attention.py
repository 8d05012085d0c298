"""Strictly causal attention (section A.2)."""

import math

from numpy.random import Generator

from backends import kernels
from backends.reference.hashing import seed_from
from vqv2.functional.requirements import require_floats, require_shape
from vqv2.operation import Operand, Result, differentiable


@differentiable
def causal_attention(
    queries: Operand,
    keys: Operand,
    values: Operand,
    rate: float = 0.0,
    dropout_on: str = "logits",
    rng: Generator | None = None,
    share: int = 0,
) -> Result:
    """Position i attends to positions j < i: (..., L, d), (..., L, d), (..., L, e) -> (..., L, e).

    `rate` and `dropout_on` as in `backends.reference.attention`, `share` as in `dropout`; without
    `rng` (evaluation) nothing is dropped. Of the forward pass only inputs, output and one number
    per row are kept. Raises `ValueError` for shapes that do not fit, `TypeError` for whole numbers.
    """
    require_floats(queries=queries, keys=keys, values=values)
    require_shape("keys", keys, queries.shape, beside={"queries": queries})
    require_shape("values", values, (*queries.shape[:-1], None), beside={"queries": queries})
    rate = 0.0 if rng is None else rate
    seed = int(rng.integers(2**63)) if rate else 0
    pairs = math.prod(queries.shape[:-1]) * queries.shape[-2]
    settings = (rate, seed_from(seed, share * pairs), dropout_on)
    output, log_normalizer = kernels.causal_attention(queries, keys, values, *settings)

    def gradient(dy):
        saved = (queries, keys, values, output, log_normalizer)
        return kernels.causal_attention_gradient(*saved, dy, *settings)

    return output, gradient
