"""How good a hierarchy is, in figures."""

from vqv2.evaluation.rate_distortion import (
    Distortion,
    code_usage,
    distortion,
    level_subsets,
    unigram_nats,
)

__all__ = ["Distortion", "code_usage", "distortion", "level_subsets", "unigram_nats"]
