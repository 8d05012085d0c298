"""The gradient check of all tests: random direction, random cotangent, float64, two-sided."""

import numpy as np

import vqv2.functional as F
from vqv2.autodiff import Tensor

STEP = 1e-6


def check_gradient(function, arrays, seed=0, tolerance=1e-7):
    """Compare <cotangent, directional derivative> with <gradient, direction>.

    `function` takes tensors and returns a tensor or a tuple of tensors; `arrays` are its float64
    inputs. Seeding with ones would be blind to operations whose outputs sum to a constant.
    """
    rng = np.random.default_rng(seed)
    directions = [rng.standard_normal(a.shape) for a in arrays]
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    outputs = _tuple(function(*tensors))
    cotangents = [rng.standard_normal(output.shape) for output in outputs]
    _total(outputs, cotangents).backward()
    for tensor in tensors:
        assert tensor.grad is not None and tensor.grad.shape == tensor.shape
        assert tensor.grad.dtype == tensor.dtype
    analytic = sum((t.grad * d).sum() for t, d in zip(tensors, directions, strict=True))

    def value(sign):
        moved = [Tensor(a + sign * STEP * d) for a, d in zip(arrays, directions, strict=True)]
        return sum(
            (output.array * cotangent).sum()
            for output, cotangent in zip(_tuple(function(*moved)), cotangents, strict=True)
        )

    numeric = (value(1) - value(-1)) / (2 * STEP)
    scale = max(1.0, abs(numeric), *(np.abs(t.grad).max(initial=0) for t in tensors))
    assert abs(analytic - numeric) <= tolerance * scale, (analytic, numeric)


def _tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _total(outputs, cotangents):
    """The sum of <output, cotangent> as a tensor."""
    total = None
    for output, cotangent in zip(outputs, cotangents, strict=True):
        term = F.sum(output * cotangent)
        total = term if total is None else total + term
    return total
