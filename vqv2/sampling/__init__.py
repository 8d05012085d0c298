"""Sampling codes from the priors: incrementally, and naively as the reference (section F)."""

from vqv2.sampling.codes import Settings, check_given, sample_codes
from vqv2.sampling.incremental import IncrementalPrior
from vqv2.sampling.naive import NaivePrior
from vqv2.sampling.rows import RowSampler

__all__ = [
    "IncrementalPrior",
    "NaivePrior",
    "RowSampler",
    "Settings",
    "check_given",
    "sample_codes",
]
