"""Checks of e03."""

import numpy as np

from examples.exercises.checking import gradient_is_right, nudged, same, unchanged
from examples.exercises.e03_convolution_backward import solution


def draw(rng):
    """x (N, H, W, C) and w (k, k, C, D) of random sizes, not square."""
    n, k, c, d = (*rng.integers(2, 4, size=2), *rng.integers(1, 4, size=2))
    return whole(rng, (n, k + 2, k + 4, c)), whole(rng, (k, k, c, d))


def whole(rng, shape):
    """Whole numbers from -9 to 9, as floats: what is computed of them is exact."""
    return rng.integers(-9, 10, shape) * 1.0


def slow(x, w):
    """The formula, one number at a time."""
    k = len(w)
    n, height, width, channels = x.shape
    y = np.zeros((n, height - k + 1, width - k + 1, w.shape[-1]))
    for image, i, j, d in np.ndindex(*y.shape):
        for a, b, c in np.ndindex(k, k, channels):
            y[image, i, j, d] += x[image, i + a, j + b, c] * w[a, b, c, d]
    return y


def check_forward(answer, rng):
    """Task 1: the convolution is the formula's."""
    x, w = draw(rng)
    mistakes = {
        "the kernel is turned round": slow(x, w[::-1, ::-1]),
        "rows and columns of the kernel are exchanged": slow(x, w.swapaxes(0, 1)),
    }
    got = unchanged([x, w], answer.convolution, "task 1")
    same(got, slow(x, w), "y", mistakes=mistakes)


def check_weights(answer, rng):
    """Task 2: the gradient of the weights agrees with nudging them, without nudging."""
    x, w = draw(rng)
    gradient_is_right(
        lambda w: slow(x, w),
        lambda dy: (unchanged([x], lambda x: answer.weight_gradient(x, dy), "weight_gradient"),),
        [w], rng, "weight_gradient", ["the weights"],
        exact=lambda dy: [solution.weight_gradient(x, dy)], tolerance=1e-14,
    )  # fmt: skip


def check_input(answer, rng):
    """Task 3: the gradient of the image agrees with nudging it, without nudging."""
    x, w = draw(rng)
    gradient_is_right(
        lambda x: slow(x, w),
        lambda dy: (unchanged([w], lambda w: answer.input_gradient(dy, w), "input_gradient"),),
        [x], rng, "input_gradient", ["the image"],
        exact=lambda dy: [solution.input_gradient(dy, w)], tolerance=1e-14,
    )  # fmt: skip


def _overwritten(dy, w):
    dx, k = solution.input_gradient(dy, w) * 0, len(w)
    for a in range(k):
        for b in range(k):
            dx[:, a : a + dy.shape[1], b : b + dy.shape[2]] = dy @ w[a, b].T
    return dx


def _changes_the_cotangent(dy, w):
    dx = solution.input_gradient(dy, w)
    dy *= 0
    return dx


def _nudged_weights(x, dy):
    w = np.ones_like(solution.weight_gradient(x, dy))
    return nudged(solution.convolution, (x, w), dy)[1]


def _nudged_image(dy, w):
    x = np.ones_like(solution.input_gradient(dy, w))
    return nudged(solution.convolution, (x, w), dy)[0]


CHECKS = [check_forward, check_weights, check_input]
MUTANTS = {
    "kernel turned round": {"convolution": lambda x, w: solution.convolution(x, w[::-1, ::-1])},
    "zero gradient of the weights": {
        "weight_gradient": lambda x, dy: 0 * solution.weight_gradient(x, dy)
    },
    "mean over places": {
        "weight_gradient": lambda x, dy: solution.weight_gradient(x, dy) / (dy.size / dy.shape[-1])
    },
    "first image only": {"weight_gradient": lambda x, dy: solution.weight_gradient(x[:1], dy[:1])},
    "the cotangent is changed": {"input_gradient": _changes_the_cotangent},
    "overlaps overwritten": {"input_gradient": _overwritten},
    "the weights are nudged": {"weight_gradient": _nudged_weights},
    "the image is nudged": {"input_gradient": _nudged_image},
    "gradient in float32": {
        "weight_gradient": lambda x, dy: (
            3 * solution.weight_gradient(x.astype(np.float32), dy.astype(np.float32) / 3)
        )
    },
    "kernel turned round, backward": {
        "input_gradient": lambda dy, w: solution.input_gradient(dy, -w[::-1, ::-1])
    },
}
