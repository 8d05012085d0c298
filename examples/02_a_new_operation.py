"""Lesson 2: an operation of your own, and proof that its gradient is right.

You will learn  to define a differentiable operation, and to catch a wrong gradient
Minutes         20
Needs           lesson 1

    python examples/02_a_new_operation.py --quick
"""

# %% [markdown]
# Every operation of the library is a plain function of arrays that returns two things: its output,
# and a function for its gradient. You can add your own in any program, and you should never
# believe a gradient that was not checked. This lesson does both.

# %% The operation
import lesson
import numpy as np

from vqv2 import Tensor, differentiable

options = lesson.options(__doc__, dtype=("float64", "float32"))


@differentiable
def softplus(x, sharpness):
    """log(1 + e^(s x)) / s, a smooth version of max(x, 0). Its slope is sigmoid(s x)."""
    y = np.logaddexp(0, sharpness * x) / sharpness

    def gradient(dy):
        # dy is dL/dy. The chain rule says dL/dx = dy * slope. One entry for each argument:
        return dy / (1 + np.exp(-sharpness * x)), None  # None: the sharpness is a constant

    return y, gradient


x = Tensor(np.array([-2.0, 0.0, 2.0]), requires_grad=True)
y = softplus(x, 3.0)
y.backward(np.ones(3))  # y is no single number: dL/dy has to be given, here 1 for each element
print("softplus", y.array.round(4), "slope", x.grad.round(4))


# %% How to check it
# Nudge x by a small step along a direction $v$. The loss $L = \langle w, f(x) \rangle$, for some
# fixed weights $w$, must change at the rate $\langle dL/dx, v \rangle$, where $dL/dx$ comes from
# `backward` with the cotangent $w$. The two-sided difference estimates that rate well:
#
# $$\frac{L(x + h v) - L(x - h v)}{2h}.$$
#
# $v$ and $w$ are random. That matters: with $w = 1$ everywhere an error that sums to zero stays
# hidden, and a nudge of one element tests one element only.
def gradient_error(operation, x, step, rng):
    """|rate from backward - rate from nudging|, for a random direction and random cotangent."""
    direction, cotangent = rng.standard_normal((2, *x.shape)).astype(x.dtype)
    leaf = Tensor(x, requires_grad=True)
    operation(leaf).backward(cotangent)
    analytic = (leaf.grad * direction).sum()
    step = x.dtype.type(step)
    above, below = (operation(Tensor(x + sign * step * direction)).array for sign in (1, -1))
    numeric = ((above - below) * cotangent).sum() / (2 * step)
    return abs(analytic - numeric)


point = np.random.default_rng(0).standard_normal(50).astype(options.dtype)
error = gradient_error(lambda t: softplus(t, 3.0), point, 1e-5, np.random.default_rng(1))
print(f"softplus: the two rates differ by {error:.1e}")

# %% Which step?
# A large step sees the curve bend: the error shrinks like $h^2$. A tiny step subtracts two almost
# equal numbers: their rounding, about $10^{-16}$ in float64, is divided by the step and grows. In
# between, the error of a right gradient is tiny; a wrong gradient never gets there.
steps = np.logspace(-12, 0, 49)


def errors(operation):
    """`gradient_error` at every step, always along the same direction."""
    return [gradient_error(operation, point, h, np.random.default_rng(1)) for h in steps]


def with_slope(slope):
    """Softplus with another function for its slope, right or wrong."""

    @differentiable
    def altered(x):
        return np.logaddexp(x * 0, 3 * x) / 3, lambda dy: dy * slope(x)

    return altered


def sigmoid(x):
    """The right slope's shape."""
    return 1 / (1 + np.exp(-x))


slopes = {
    "right": lambda x: sigmoid(3 * x),
    "forgot the sharpness": lambda x: sigmoid(x),
    "slope of max(x, 0)": lambda x: (x > 0) * 1.0,
    "too large by 1 in 1000": lambda x: sigmoid(3 * x) * 1.001,
}
curves = {name: errors(with_slope(slope)) for name, slope in slopes.items()}

# %% Draw it
drawing, (shapes, check) = lesson.figure(12, 4.6, 1, 2)
grid = np.linspace(-3, 3, 200)
shapes.plot(grid, softplus(grid, 3.0).array, label="softplus, s = 3", color=lesson.PALETTE[0], lw=2)
for ink, (name, slope) in zip(lesson.PALETTE[1:4], list(slopes.items())[:3], strict=True):
    style, word = ("-", "slope") if name == "right" else ("--", "wrong slope")
    shapes.plot(grid, slope(grid), style, label=f"{word}: {name}", color=ink)
shapes.set(title="The operation and what its slope might be", xlabel="x", ylim=(-0.1, 2.2))
shapes.legend()
inks = (lesson.PALETTE[1], lesson.PALETTE[2], lesson.PALETTE[3], lesson.PALETTE[4])
for ink, (name, curve) in zip(inks, curves.items(), strict=True):
    check.loglog(steps, np.maximum(curve, 1e-16), color=ink, label=name, lw=2)
check.axvspan(1e-7, 1e-4, color="#EEEEEE", zorder=0)
check.text(3e-6, 30, "good steps", ha="center", color="#666666")
check.text(1e-9, 1e-6, "rounding", color="#666666")
check.text(2e-3, 3e-9, "the curve\nbends", color="#666666")
check.set(title="Only the right gradient has a valley", xlabel="step h", ylabel="error")
check.set_ylim(1e-13, 1e2)
check.legend(loc="lower left", fontsize=9)
lesson.save(
    drawing,
    options,
    "02_a_new_operation",
    "Left: softplus, its slope, and two wrong slopes. Right: the error of the check "
    "against the step; only the right gradient's error has a deep valley.",
)

# %% Figures
for name, curve in curves.items():
    print(f"{name:24} smallest error {min(curve):.1e}")
best = steps[int(np.argmin(curves["right"]))]
print(f"the right gradient is best checked with a step of {best:.0e}")
reason = (
    "A float32 has 7 digits: rounding is 1e-7 of the loss, and is divided by the step. The valley "
    "is at larger steps and far less deep, too shallow to tell small errors from rounding. That is "
    "why gradients are checked in float64, also those of a network that runs in float32."
)
lesson.expect(min(curves["right"]) < 1e-8, "the right gradient's error falls below 1e-8", reason)
lesson.expect(
    all(min(curve) > 1e-4 for name, curve in curves.items() if name != "right"),
    "no wrong gradient's error falls below 1e-4",
    "By chance a curve may cross zero at one step; look for a valley that is wide.",
)

# %% [markdown]
# The library checks all of its operations this way, on every backend:
# `tests/functional/test_functional_gradients.py`.
#
# Try: `--dtype float32`. Where will the valley be, and how deep?
#
# Exercise: e02 (an operation with two gradients, and the check).
