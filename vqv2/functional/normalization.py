"""Batch normalisation (Ioffe and Szegedy, 2015), as in the conditioning stack's `BatchNorm`."""

from backends import array_module, kernels
from backends.arrays import widened
from backends.process.communication import Communicator, Single
from vqv2.functional.requirements import require_floats
from vqv2.operation import Operand, Results, differentiable


@differentiable(halves=True)
def batch_norm(
    x: Operand,
    scale: Operand,
    offset: Operand,
    epsilon: float = 1e-5,
    communicator: Communicator | None = None,
    relu: bool = False,
    skip: bool = False,
) -> Results:
    """Normalise every channel over all positions: (..., C) -> ((..., C), mean (C,), variance (C,)).

    y = scale * n + offset, n = (x - mean) / sqrt(variance + epsilon); the variance divides by the
    number of positions M. With `relu` the first output is max(y, 0); with `skip` x is a fourth one,
    as in `activation.relu`. Of the first three outputs' cotangents comes

        dx = scale / deviation * (dy - mean(dy) - n * mean(dy * n))
             + dmean / M + 2 * dvariance * (x - mean) / M

    With a `communicator` (`backends.process.communication`) x is this process's share of a batch,
    of the same shape everywhere, and every mean above is one over the whole batch: each process's
    output depends on all shares. The cotangents of scale and offset are those of this process's
    outputs. Raises `TypeError` for whole numbers.
    """
    require_floats(x=x)
    x = widened(x)
    xp = array_module(x)
    communicator = communicator or Single()
    rows = x.reshape(-1, x.shape[-1])
    mean, variance = kernels.moments(rows)
    if communicator.size > 1:
        mean, variance = _of_all_shares(xp, mean, variance, communicator)
    settings = (mean, variance, scale, offset, epsilon, relu)
    count = max(1, len(rows) * communicator.size)

    def gradient(dy, d_mean, d_variance, d_skip=None):
        dx, d_scale, d_offset = 0 if d_skip is None else d_skip.reshape(rows.shape), None, None
        if dy is not None:
            d_rows = dy.reshape(rows.shape)
            d_scale, d_offset = kernels.normalize_parameter_gradient(rows, *settings, d_rows)
            totals = _sum(communicator, d_scale, d_offset)
            onto = None if d_skip is None else widened(d_skip).reshape(rows.shape)
            cotangents = (d_rows, *totals, count, onto)
            dx = kernels.normalize_input_gradient(rows, *settings, *cotangents)
        if d_mean is not None:
            dx = dx + xp.broadcast_to(communicator.all_reduce(d_mean) / count, rows.shape)
        if d_variance is not None:
            dx = dx + (2 / count) * communicator.all_reduce(d_variance) * (rows - mean)
        return dx.reshape(x.shape), d_scale, d_offset

    y = kernels.normalize(rows, *settings).reshape(x.shape)
    return (y, mean, variance, *([x] if skip else [])), gradient


def _of_all_shares(xp, mean, variance, communicator):
    """Mean and variance of a whole batch from those of its equal shares.

    The variance of a whole is the mean of its parts' variances and the variance of their means.
    """
    means, variances = communicator.all_gather(xp.stack([mean, variance])).swapaxes(0, 1)
    return means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)


def _sum(communicator, *arrays):
    """The sums over all processes of arrays of one shape, in one message."""
    if communicator.size == 1:
        return arrays
    return communicator.all_reduce(array_module(arrays[0]).stack(arrays))
