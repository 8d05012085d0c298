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
        lambda dy: (unchanged([x], lambda x: answer.weight_gradient(x, w, dy), "weight_gradient"),),
        [w], rng, "weight_gradient", ["the weights"],
        exact=lambda dy: [solution.weight_gradient(x, w, dy)], tolerance=1e-14,
    )  # fmt: skip


def check_input(answer, rng):
    """Task 3: the gradient of the image agrees with nudging it, without nudging."""
    x, w = draw(rng)
    gradient_is_right(
        lambda x: slow(x, w),
        lambda dy: (unchanged([w], lambda w: answer.input_gradient(x, w, dy), "input_gradient"),),
        [x], rng, "input_gradient", ["the image"],
        exact=lambda dy: [solution.input_gradient(x, w, dy)], tolerance=1e-14,
    )  # fmt: skip


def _overwritten(x, w, dy):
    dx, k = np.zeros_like(x), len(w)
    for a in range(k):
        for b in range(k):
            dx[:, a : a + dy.shape[1], b : b + dy.shape[2]] = dy @ w[a, b].T
    return dx


def _adds_into_the_image(x, w, dy):
    x *= 0
    for (a, b), matrix in zip(np.ndindex(w.shape[:2]), w.reshape(-1, *w.shape[2:]), strict=True):
        x[:, a : a + dy.shape[1], b : b + dy.shape[2]] += dy @ matrix.T
    return x


def _nudged(x, w, dy):
    return nudged(solution.convolution, (x, w), dy)


CHECKS = [check_forward, check_weights, check_input]
MUTANTS = {
    "kernel turned round": {"convolution": lambda x, w: solution.convolution(x, w[::-1, ::-1])},
    "zero gradient of the weights": {"weight_gradient": lambda x, w, dy: np.zeros_like(w)},
    "mean over places": {
        "weight_gradient": lambda x, w, dy: (
            solution.weight_gradient(x, w, dy) / (dy.size / dy.shape[-1])
        )
    },
    "first image only": {
        "weight_gradient": lambda x, w, dy: solution.weight_gradient(x[:1], w, dy[:1])
    },
    "the image itself takes its gradient": {"input_gradient": _adds_into_the_image},
    "overlaps overwritten": {"input_gradient": _overwritten},
    "the weights are nudged": {"weight_gradient": lambda *a: _nudged(*a)[1]},
    "the image is nudged": {"input_gradient": lambda *a: _nudged(*a)[0]},
    "gradient in float32": {
        "weight_gradient": lambda x, w, dy: (
            solution.weight_gradient(
                x.astype(np.float32), w.astype(np.float32), dy.astype(np.float32) / 3
            )
            * 3
        )
    },
    "kernel turned round, backward": {
        "input_gradient": lambda x, w, dy: solution.input_gradient(x, -w[::-1, ::-1], dy)
    },
}
