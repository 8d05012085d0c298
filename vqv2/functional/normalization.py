"""Batch normalisation (Ioffe and Szegedy, 2015), as in the conditioning stack's `BatchNorm`."""

from backends import array_module
from vqv2.autodiff import differentiable


@differentiable
def batch_norm(x, scale, offset, epsilon=1e-5):
    """Normalise every channel over all positions: (..., C) -> ((..., C), mean (C,), variance (C,)).

    y = scale * n + offset, n = (x - mean) / sqrt(variance + epsilon); the variance divides by the
    number of positions M. Three outputs, three cotangents:

        dx = scale / deviation * (dy - mean(dy) - n * mean(dy * n))
             + dmean / M + 2 * dvariance * (x - mean) / M
    """
    xp = array_module(x)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes)
    centred = x - mean
    variance = xp.mean(centred * centred, axis=axes)
    inverse = 1 / xp.sqrt(variance + epsilon)
    normalized = centred * inverse
    count = max(1, x.size // x.shape[-1])

    def gradient(dy, d_mean, d_variance):
        dx = 0
        d_scale = d_offset = None
        if dy is not None:
            d_offset = dy.sum(axis=axes)
            d_scale = (dy * normalized).sum(axis=axes)
            dx = scale * inverse * (dy - d_offset / count - normalized * (d_scale / count))
        if d_mean is not None:
            dx = dx + d_mean / count
        if d_variance is not None:
            dx = dx + (2 / count) * d_variance * centred
        return xp.broadcast_to(dx, x.shape), d_scale, d_offset

    return (normalized * scale + offset, mean, variance), gradient
