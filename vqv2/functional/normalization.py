"""Batch normalisation (Ioffe and Szegedy, 2015), as in the conditioning stack's `BatchNorm`."""

from backends import array_module
from backends.communication import Single
from vqv2.autodiff import differentiable


@differentiable
def batch_norm(x, scale, offset, epsilon=1e-5, communicator=None):
    """Normalise every channel over all positions: (..., C) -> ((..., C), mean (C,), variance (C,)).

    y = scale * n + offset, n = (x - mean) / sqrt(variance + epsilon); the variance divides by the
    number of positions M. Three outputs, three cotangents:

        dx = scale / deviation * (dy - mean(dy) - n * mean(dy * n))
             + dmean / M + 2 * dvariance * (x - mean) / M

    With a `communicator` (`backends.communication`) x is this process's share of a batch, of the
    same shape everywhere, and every mean above is one over the whole batch: each process's output
    depends on all shares. The cotangents of scale and offset are those of this process's outputs.
    """
    xp = array_module(x)
    communicator = communicator or Single()
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    centred = x - mean
    variance = xp.mean(centred * centred, axis=axes)
    if communicator.size > 1:
        mean, variance = _of_all_shares(xp, mean, variance, communicator)
        centred = x - mean
    inverse = 1 / xp.sqrt(variance + epsilon)
    normalized = centred * inverse
    count = max(1, x.size // x.shape[-1] * communicator.size)

    def gradient(dy, d_mean, d_variance):
        dx = 0
        d_scale = d_offset = None
        if dy is not None:
            d_offset = dy.sum(axis=axes)
            d_scale = (dy * normalized).sum(axis=axes)
            total_offset, total_scale = _sum(communicator, d_offset, d_scale)
            dx = scale * inverse * (dy - total_offset / count - normalized * (total_scale / count))
        if d_mean is not None:
            dx = dx + communicator.all_reduce(d_mean) / count
        if d_variance is not None:
            dx = dx + (2 / count) * communicator.all_reduce(d_variance) * centred
        return xp.broadcast_to(dx, x.shape), d_scale, d_offset

    return (normalized * scale + offset, mean, variance), gradient


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
