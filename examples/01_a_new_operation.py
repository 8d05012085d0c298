"""A differentiable operation of your own, and a check of its gradient.

    python examples/01_a_new_operation.py

An operation is a function of arrays that returns its output and a function for its gradient. The
gradient function receives the cotangent dL/dy and returns dL/d(input) for every input.
"""

import numpy as np

import vqv2.functional as F
from vqv2 import Tensor, differentiable


@differentiable
def softplus(x, sharpness):
    """log(1 + e^(s x)) / s: a smooth ReLU. Its slope is sigmoid(s x); s is a constant here."""
    y = np.logaddexp(0, sharpness * x) / sharpness

    def gradient(dy):
        return dy / (1 + np.exp(-sharpness * x)), None  # None: no gradient for the sharpness

    return y, gradient


def main():
    """Compare the gradient with a finite difference along a random direction."""
    rng = np.random.default_rng(0)
    x, direction, weights = rng.standard_normal((3, 5))

    def loss(values):
        return F.sum(softplus(values, 2.0) * weights)

    tensor = Tensor(x, requires_grad=True)
    loss(tensor).backward()
    analytic = (tensor.grad * direction).sum()
    step = 1e-6
    numeric = (loss(x + step * direction).item() - loss(x - step * direction).item()) / (2 * step)
    print(f"gradient along the direction: {analytic:.9f}")
    print(f"finite difference:            {numeric:.9f}")
    assert abs(analytic - numeric) < 1e-7


if __name__ == "__main__":
    main()
