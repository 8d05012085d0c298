"""What there is to see of a trained hierarchy, one kind of evaluation in each file.

Each has two functions. `measure(subject)` computes figures, plain numbers and texts that JSON can
hold, and leaves pictures in the subject's folder; `sections(figures, folder)` makes the sections of
a page of them. So a page can be put together from what earlier calls have measured.
"""

from vqv2.lab.report.sections import (
    fidelity,
    neighbours,
    quality,
    rate_distortion,
    reconstructions,
    samples,
    timing,
    training,
    usage,
)

EVALUATIONS = {
    "samples": samples,
    "reconstructions": reconstructions,
    "rate-distortion": rate_distortion,
    "usage": usage,
    "training": training,
    "neighbours": neighbours,
    "fidelity": fidelity,
    "quality": quality,
    "timing": timing,
}
NEED_PRIORS = ("samples", "neighbours", "fidelity", "quality", "timing")  # of all levels

__all__ = ["EVALUATIONS", "NEED_PRIORS"]
