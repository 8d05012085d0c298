"""Cases of mixtures of discretised logistics."""

from backends import kernels
from backends.reference.logistic_mixture import parameter_count
from tests.cases.draw import table

# vectors, dimensions, components, bins, factor of the parameters
MIXTURES = {
    "vectors": (7, 3, 4, 256, 1),
    "few-bins": (30, 4, 3, 3, 1),
    "edges-only": (12, 3, 2, 2, 1),
    "tiny-and-huge-scales": (9, 3, 4, 256, 6),
    "one-dimension": (5, 1, 3, 16, 1),
    "one-component": (5, 4, 1, 16, 1),
    "one-vector": (1, 9, 10, 256, 1),
    "no-vectors": (0, 3, 2, 5, 1),
}


def _logistic_mixture(vectors, dimensions, components, bins, factor, draw):
    count = parameter_count(dimensions, components)
    parameters = draw.place(draw(vectors, count) * draw.dtype.type(factor))
    targets = draw.codes(bins, vectors, dimensions)
    targets[:1], targets[-1:, -1:] = 0, bins - 1
    return parameters, targets, components, bins


def _logistic_mixture_gradient(vectors, *spec_and_draw):
    parameters, targets, *counts = _logistic_mixture(vectors, *spec_and_draw)
    return parameters, targets, spec_and_draw[-1](vectors), *counts


CASES = {
    kernels.logistic_mixture: table(_logistic_mixture, MIXTURES),
    kernels.logistic_mixture_gradient: table(_logistic_mixture_gradient, MIXTURES),
}
