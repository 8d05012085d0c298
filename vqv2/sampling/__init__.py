"""Sampling codes from the priors: incrementally, and naively as the reference (section F)."""

from vqv2.sampling.codes import Settings, check_given, drawing, sample_codes
from vqv2.sampling.incremental import IncrementalPrior
from vqv2.sampling.naive import NaivePrior

__all__ = ["IncrementalPrior", "NaivePrior", "Settings", "check_given", "drawing", "sample_codes"]
