"""Sampling codes from the priors: incrementally, and naively as the reference (section F)."""

from vqv2.sampling.batches import batch_size, draw_in_turns, noise_generator
from vqv2.sampling.codes import Settings, check_given, row_sampler, sample_codes
from vqv2.sampling.incremental import IncrementalPrior
from vqv2.sampling.labels import class_numbers
from vqv2.sampling.naive import NaivePrior
from vqv2.sampling.rows import RowSampler

__all__ = [
    "IncrementalPrior",
    "NaivePrior",
    "RowSampler",
    "Settings",
    "batch_size",
    "check_given",
    "class_numbers",
    "draw_in_turns",
    "noise_generator",
    "row_sampler",
    "sample_codes",
]
