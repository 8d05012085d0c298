"""How good a hierarchy is, in figures."""

from vqv2.lab.evaluation.rate_distortion import (
    Distortion,
    Rate,
    code_usage,
    distortion,
    rates,
    unigram_nats,
)

__all__ = [
    "Distortion",
    "Rate",
    "code_usage",
    "distortion",
    "rates",
    "unigram_nats",
]
