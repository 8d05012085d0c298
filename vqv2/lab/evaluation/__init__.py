"""How good a hierarchy is, in figures."""

from vqv2.lab.evaluation.rate_distortion import (
    Distortion,
    Rate,
    distortion,
    rates,
    unigram_nats,
)

__all__ = [
    "Distortion",
    "Rate",
    "distortion",
    "rates",
    "unigram_nats",
]
