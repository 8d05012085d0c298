"""Sampling codes from the priors: incrementally, and naively as the reference (section F).

Both have one interface, to draw in any way of one's own:

    sampler = IncrementalPrior(prior, count, label, coarser)      # or NaivePrior
    for code in codes_in_raster_order:
        logits = sampler.logits()       # (N, K) of the next position
        sampler.append(code)            # (N,), whatever was chosen there, drawn or given
"""

from vqv2.sampling.codes import (
    Settings,
    batch_size,
    check_given,
    draw_in_turns,
    level_generator,
    noise_seeds,
    sample_codes,
)
from vqv2.sampling.drawing import RowSampler, row_sampler
from vqv2.sampling.incremental import IncrementalPrior
from vqv2.sampling.labels import class_numbers
from vqv2.sampling.naive import NaivePrior

__all__ = [
    "IncrementalPrior",
    "NaivePrior",
    "RowSampler",
    "Settings",
    "batch_size",
    "check_given",
    "class_numbers",
    "draw_in_turns",
    "level_generator",
    "noise_seeds",
    "row_sampler",
    "sample_codes",
]
