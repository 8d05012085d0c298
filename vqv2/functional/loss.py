"""Losses. All raise `ValueError` for shapes that do not fit, `TypeError` for whole numbers."""

from backends import kernels
from vqv2.functional.requirements import require_floats, require_integers, require_shape
from vqv2.operation import Operand, Result, differentiable


@differentiable
def cross_entropy(logits: Operand, targets: Operand) -> Result:
    """-log softmax(logits)[target] in nats per code: (..., K), integers (...) -> (...)."""
    require_floats(logits=logits)
    require_integers(targets=targets)
    require_shape("targets", targets, logits.shape[:-1], beside={"logits": logits})
    rows = logits.reshape(-1, logits.shape[-1])
    codes = targets.reshape(-1)
    losses = kernels.cross_entropy(rows, codes).reshape(targets.shape)

    def gradient(dy):
        d_rows = kernels.cross_entropy_gradient(rows, codes, dy.reshape(-1))
        return d_rows.reshape(logits.shape), None

    return losses, gradient


@differentiable
def mean_squared_error(a: Operand, b: Operand) -> Result:
    """Mean over all elements of (a - b)^2, of two arrays of one shape; a number."""
    require_floats(a=a, b=b)
    require_shape("b", b, a.shape, beside={"a": a})

    def gradient(dy):
        return (
            lambda: kernels.mean_squared_error_gradient(a, b, dy),
            lambda: kernels.mean_squared_error_gradient(b, a, dy),
        )

    return kernels.mean_squared_error(a, b), gradient


@differentiable
def discretized_logistic_mixture(
    parameters: Operand, targets: Operand, components: int = 10, bins: int = 256
) -> Result:
    """-log p(targets) in nats per vector: (..., P), bins (..., D), integers -> (...).

    A mixture of `components` logistics over D numbers in one of `bins` bins each, every component
    with linear causal dependencies between them: `backends/reference/logistic_mixture.py` has the
    formulas, P = parameter_count(D, components). Table 5 takes 10 components and 256 bins.
    """
    require_floats(parameters=parameters)
    require_integers(targets=targets)
    shape = (*parameters.shape[:-1], None)
    require_shape("targets", targets, shape, beside={"parameters": parameters})
    rows = parameters.reshape(-1, parameters.shape[-1])
    vectors = targets.reshape(-1, targets.shape[-1])
    losses = kernels.logistic_mixture(rows, vectors, components, bins)

    def gradient(dy):
        d_rows = kernels.logistic_mixture_gradient(rows, vectors, dy.reshape(-1), components, bins)
        return d_rows.reshape(parameters.shape), None

    return losses.reshape(targets.shape[:-1]), gradient
