"""How good a hierarchy is, in figures."""

from vqv2.evaluation.rate_distortion import (
    Distortion,
    Rate,
    code_usage,
    distortion,
    level_subsets,
    rates,
    unigram_nats,
)

__all__ = [
    "Distortion",
    "Rate",
    "code_usage",
    "distortion",
    "level_subsets",
    "rates",
    "unigram_nats",
]
