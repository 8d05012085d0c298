"""Batch normalisation (Ioffe and Szegedy, 2015), as in the conditioning stack's `BatchNorm`."""

from backends import array_module, kernels
from backends.process.communication import Single
from vqv2.functional.requirements import require_floats
from vqv2.operation import differentiable


@differentiable
def batch_norm(x, scale, offset, epsilon=1e-5, communicator=None):
    """Normalise every channel over all positions: (..., C) -> ((..., C), mean (C,), variance (C,)).

    y = scale * n + offset, n = (x - mean) / sqrt(variance + epsilon); the variance divides by the
    number of positions M. Three outputs, three cotangents:

        dx = scale / deviation * (dy - mean(dy) - n * mean(dy * n))
             + dmean / M + 2 * dvariance * (x - mean) / M

    With a `communicator` (`backends.process.communication`) x is this process's share of a batch,
    of the same shape everywhere, and every mean above is one over the whole batch: each process's
    output depends on all shares. The cotangents of scale and offset are those of this process's
    outputs. Raises `TypeError` for whole numbers.
    """
    require_floats(x=x)
    xp = array_module(x)
    communicator = communicator or Single()
    rows = x.reshape(-1, x.shape[-1])
    mean, variance = kernels.moments(rows)
    if communicator.size > 1:
        mean, variance = _of_all_shares(xp, mean, variance, communicator)
    inverse = 1 / xp.sqrt(variance + epsilon)
    factor = scale * inverse
    count = max(1, len(rows) * communicator.size)

    def gradient(dy, d_mean, d_variance):
        slope, constant = xp.zeros_like(mean), xp.zeros_like(mean)
        d_scale = d_offset = None
        if dy is not None:
            d_rows = dy.reshape(rows.shape)
            d_offset, d_centred = kernels.correlate(rows, mean, d_rows)
            d_scale = d_centred * inverse
            total_offset, total_scale = _sum(communicator, d_offset, d_scale)
            constant -= factor * total_offset / count
            slope -= factor * inverse * total_scale / count
        if d_mean is not None:
            constant += communicator.all_reduce(d_mean) / count
        if d_variance is not None:
            slope += (2 / count) * communicator.all_reduce(d_variance)
        if dy is None:
            d_rows = xp.broadcast_to(xp.zeros_like(mean), rows.shape)
        dx = kernels.combine(rows, mean, d_rows, factor, slope, constant)
        return dx.reshape(x.shape), d_scale, d_offset

    y = kernels.normalize(rows, mean, factor, offset).reshape(x.shape)
    return (y, mean, variance), gradient


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
