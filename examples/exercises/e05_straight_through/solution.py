"""One answer to e05."""

import vqv2.functional as F
from vqv2 import differentiable


@differentiable
def straight_through(h, e):
    """Forward e, backward as if h had been copied."""
    return e, lambda dy: (dy, None)


def losses(h, e, beta):
    """Detach the one that is to stay."""
    codebook = F.mean_squared_error(h.detach(), e)
    commitment = F.mean_squared_error(h, e.detach())
    return codebook, commitment * beta
