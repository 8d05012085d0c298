"""Checks of e05."""

import numpy as np

import vqv2.functional as F
from examples.exercises.checking import Wrong, same, several, tensor, unchanged
from examples.exercises.e05_straight_through import solution
from vqv2 import Tensor, differentiable


def draw(rng):
    """Two tensors (2, 3, 4) to differentiate by."""
    return (Tensor(rng.standard_normal((2, 3, 4)), requires_grad=True) for _ in range(2))


def received(tensor):
    """What reached a leaf: an array, zero when nothing did."""
    return np.zeros(tensor.shape) if tensor.grad is None else tensor.grad


def check_straight_through(answer, rng):
    """Task 1: forward the code vectors, backward the unchanged cotangent, to h alone."""
    h, e = draw(rng)
    y = unchanged([h.array, e.array], lambda *_: answer.straight_through(h, e), "straight_through")
    if isinstance(y, tuple):
        raise Wrong("straight_through returned a tuple: keep the line @differentiable above it")
    y = tensor(y, "what comes out")
    _is_exactly(y.array, e.array)
    cotangent = rng.standard_normal(y.shape)
    y.backward(cotangent)
    same(received(h), cotangent, "what reaches h")
    same(received(e), np.zeros(e.shape), "what reaches e")


def _is_exactly(y, e):
    """Raise `Wrong` unless the output is e to the last bit."""
    if y.shape == e.shape and not np.array_equal(y, e) and np.allclose(y, e, atol=1e-12):
        raise Wrong(
            f"the output is e up to a last bit in {(y != e).sum()} of {e.size} numbers: "
            "h + (e - h).detach(), the usual idiom, rounds twice, and the decoder is trained on "
            "vectors that no code stands for. Return e itself: @differentiable lets you"
        )
    same(y, e, "what comes out", 0)


def check_losses(answer, rng):
    """Task 2: both losses have the right value, and each pulls one side only, the right way."""
    beta = float(rng.uniform(0.1, 0.9))
    for which, name in enumerate(("codebook loss", "commitment loss")):
        h, e = draw(rng)
        result = several(
            unchanged([h.array, e.array], lambda *_, h=h, e=e: answer.losses(h, e, beta), "losses"),
            ("codebook loss", "beta * commitment loss"),
            "losses",
        )
        difference = h.array - e.array
        mean, weight = (difference**2).mean(), (1, beta)[which]
        mistakes = {
            "it is a sum, not a mean": weight * (difference**2).sum(),
            ("it is multiplied by beta", "it is not multiplied by beta")[which]: (
                (beta, 1)[which] * mean
            ),
        }
        found = tensor(result[which], f"the {name}").array
        same(found, weight * mean, f"the {name}", mistakes=mistakes)
        if not result[which].requires_grad:
            raise Wrong(f"the {name} has no gradient at all: one of h and e must not be detached")
        result[which].backward()
        pull = 2 * weight * difference / difference.size
        zero = np.zeros(h.shape)
        same(received(h), (zero, pull)[which], f"the gradient of the {name} by h")
        same(received(e), (-pull, zero)[which], f"the gradient of the {name} by e")


@differentiable
def _zero_gradient(h, e):
    return e, lambda dy: (dy * 0, None)


@differentiable
def _to_both(h, e):
    return e, lambda dy: (dy, dy)


@differentiable
def _to_e(h, e):
    return e, lambda dy: (None, dy)


@differentiable
def _one_cotangent(h, e):
    return e, lambda dy: dy


def _nobody_detached(h, e, beta):
    loss = F.mean_squared_error(h, e)
    return loss, loss * beta


CHECKS = [check_straight_through, check_losses]
MUTANTS = {
    "zero gradient": {"straight_through": _zero_gradient},
    "cotangent to both": {"straight_through": _to_both},
    "cotangent to e": {"straight_through": _to_e},
    "h + (e - h), with its rounding": {
        "straight_through": lambda h, e: h + (e.detach() - h.detach())
    },
    "nobody detached": {"losses": _nobody_detached},
    "the wrong one detached": {
        "losses": lambda h, e, beta: (
            F.mean_squared_error(h, e.detach()),
            F.mean_squared_error(h.detach(), e) * beta,
        )
    },
    "numbers instead of tensors": {
        "losses": lambda h, e, beta: tuple(
            weight * ((h.array - e.array) ** 2).mean() for weight in (1, beta)
        )
    },
    "sums instead of means": {
        "losses": lambda h, e, beta: tuple(
            loss * float(h.array.size) for loss in solution.losses(h, e, beta)
        )
    },
    "one cotangent for two arguments": {"straight_through": _one_cotangent},
    "beta forgotten": {
        "losses": lambda h, e, beta: (
            F.mean_squared_error(h.detach(), e),
            F.mean_squared_error(h, e.detach()),
        )
    },
}
