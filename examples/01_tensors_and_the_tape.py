"""Lesson 1: tensors and the tape.

You will learn  how a program that computes a number also computes its gradient
Minutes         20
Needs           NumPy, the chain rule

    python examples/01_tensors_and_the_tape.py --quick
"""

# %% [markdown]
# To train a network is to compute one number that says how bad it is (the *loss*), to find how the
# loss changes with every parameter (the *gradient*), and to move the parameters the other way.
# This lesson is about the second part, which is `vqv2/autodiff.py`. The method is called
# *reverse-mode automatic differentiation*, or *backpropagation*;
# [autograd](https://github.com/HIPS/autograd) does it for any NumPy program.
#
# First with numbers. Let $L = (ab + a)^2$ at $a = 2$, $b = -3$, computed in three steps:
#
# $$p = ab = -6, \qquad s = p + a = -4, \qquad L = s^2 = 16.$$
#
# Now backward, from L to a and b. For each quantity y we want $dL/dy$, called the *cotangent* of
# y. It starts with $dL/dL = 1$, and each step multiplies it by a *local derivative*:
#
# $$\begin{aligned}
# dL/ds &= 1 \cdot 2s = -8 && \text{because } L = s^2 \\
# dL/dp &= -8 \cdot 1 = -8 && \text{because } s = p + a \text{: its first argument} \\
# \text{to } a &: -8 \cdot 1 = -8 && \text{because } s = p + a \text{: its second argument} \\
# \text{to } a &: -8 \cdot b = 24 && \text{because } p = ab \\
# dL/db &= -8 \cdot a = -16 && \text{because } p = ab
# \end{aligned}$$
#
# We used a twice, so two cotangents arrive at it. A change of a changes L in both ways. So they
# are added: $dL/da = -8 + 24 = 16$. The same as a picture:
#
# ![The tape of L: values go forward, cotangents come back](../docs/diagrams/tape.svg)

# %% The same with tensors
# A `Tensor` wraps an array. `requires_grad` says that we want the gradient with respect to it.
import lesson
import numpy as np

import vqv2.functional as F
from vqv2 import Tensor

options = lesson.options(__doc__, rate=(0.3, 0, 10))
a = Tensor(np.array(2.0), requires_grad=True)
b = Tensor(np.array(-3.0), requires_grad=True)
L = (a * b + a) ** 2
L.backward()
print(f"L = {L.item():g}, dL/da = {a.grad:g}, dL/db = {b.grad:g}")

# %% The tape
# While it computed, every operation left a *node*: its name, where its inputs came from (its
# *parents*), and a function for its gradient. The nodes together are the tape. A tensor that no
# operation made, like a and b, is a *leaf*; `backward` leaves its cotangent in `grad`. Constants,
# like the 2 of the square, get none. `backward` uses a tape up, so let us compute L again and
# look.
names = {id(a): "a", id(b): "b"}


def describe(tensor):
    """A tensor as the operations that it was computed by: "add(multiply(a, b), a)"."""
    if tensor is None:
        return "constant"
    if tensor.node is None:
        return names[id(tensor)]
    return f"{tensor.node.name}({', '.join(map(describe, tensor.node.parents))})"


print("the tape of L:", describe((a * b + a) ** 2))

# %% A small problem: 40 points and a line through them
# The loss of a line is the mean squared error $L(s, c) = \mathrm{mean}((s x + c - y)^2)$. With the
# residual $r = s x + c - y$ the chain rule says $dL/ds = \mathrm{mean}(2 r x)$ and $dL/dc =
# \mathrm{mean}(2 r)$.
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 40)
y = 1.5 * x - 0.5 + 0.2 * rng.standard_normal(40)
s, c = -1.0, 1.0
residual = s * x + c - y
by_hand = np.mean(2 * residual * x), np.mean(2 * residual)


def loss(slope, intercept):
    """Mean squared error of a line, a tensor holding one number."""
    return F.mean((slope * x + intercept - y) ** 2)


slope = Tensor(np.array(s), requires_grad=True)
intercept = Tensor(np.array(c), requires_grad=True)
loss(slope, intercept).backward()
from_tape = slope.grad.item(), intercept.grad.item()
print(f"by hand   dL/ds {by_hand[0]:+.6f}  dL/dc {by_hand[1]:+.6f}")
print(f"from tape dL/ds {from_tape[0]:+.6f}  dL/dc {from_tape[1]:+.6f}")

# %% Stretched values
# `slope` is one number and x has 40. The product *broadcasts* the slope: it acts as if it were
# copied 40 times, and each copy gets a cotangent. A change of the slope changes all copies at
# once, so their cotangents are added up. That is why slope.grad is a single number again.
print("shape of the slope's gradient:", slope.grad.shape)

# %% Descend
# Move against the gradient, again and again. Every step computes on a fresh tape. How far a step
# goes is the *learning rate* times the gradient.
path = [(s, c)]
for _ in range(60):
    slope, intercept = (Tensor(np.array(v), requires_grad=True) for v in path[-1])
    loss(slope, intercept).backward()
    path.append(tuple(t.array - options.rate * t.grad for t in (slope, intercept)))
path = np.array(path)
best = np.polyfit(x, y, 1)

# %% Draw what happened
drawing, (valley, fit) = lesson.figure(11, 4.6, 1, 2)
blue, orange = lesson.PALETTE[:2]
slopes, intercepts = np.meshgrid(np.linspace(-1.6, 2.8, 80), np.linspace(-1.6, 1.4, 80))
heights = ((slopes[..., None] * x + intercepts[..., None] - y) ** 2).mean(axis=-1)
valley.contour(slopes, intercepts, np.log(heights), 14, cmap="Greys_r", linewidths=0.8)
valley.plot(*path.T, "o-", color=orange, ms=3.5, label="60 steps")
valley.plot(*best, "*", color=blue, ms=16, label="least squares")
valley.set(title="Down the valley of the loss", xlabel="slope", ylabel="intercept")
valley.set(xlim=(-1.6, 2.8), ylim=(-1.6, 1.4))
valley.legend(loc="upper right")

fit.plot(x, y, "o", color="#888888", ms=4)
ends = np.array([-1, 1])
for step, shade in ((0, 0.25), (2, 0.45), (6, 0.7), (60, 1.0)):
    height = path[step].sum()
    fit.plot(ends, path[step, 0] * ends + path[step, 1], color=orange, alpha=shade)
    if abs(height) < 3:
        fit.text(1.03, height, f"step {step}", color=orange, va="center", fontsize=9)
fit.set(title="The line after some steps", xlabel="x", ylabel="y", xlim=(-1.05, 1.4), ylim=(-3, 3))
lesson.save(
    drawing,
    options,
    "01_tensors_and_the_tape",
    "Left: gradient descent walks down the valley of the loss to the least squares "
    "solution. Right: the line through the points after 0, 2, 6 and 60 steps.",
)

# %% Figures
# How large may a step be? Along the direction in which the loss bends most, with second derivative
# $k$, a step multiplies the distance to the bottom by $1 - \mathrm{rate} \cdot k$. Above
# $\mathrm{rate} = 2 / k$ the distance grows.
bend = np.linalg.eigvalsh(2 * np.mean([[x * x, x], [x, np.ones(40)]], axis=-1)).max()
difference = max(abs(h - t) for h, t in zip(by_hand, from_tape, strict=True))
print(f"largest difference between the gradient by hand and the tape's: {difference:.1e}")
print(f"descent ends at {path[-1].round(4)}, least squares says {best.round(4)}")
lesson.expect((a.grad, b.grad) == (16, -16), "the tape gives 16 and -16, as on paper")
lesson.expect(difference < 1e-12, "the gradient by hand is that of the tape")
lesson.expect(
    np.allclose(path[-1], best, atol=1e-3),
    "the descent ends in the least squares solution",
    f"The loss bends by k = {bend:.2f}: with a rate above 2 / k = {2 / bend:.2f} each step jumps "
    "over the valley and lands higher on its other side; one far below has not arrived yet.",
)

# %% [markdown]
# Try: `--rate 1.2`. Before you run it: the loss bends by about 2 in one direction. What will a
# step of 1.2 times the gradient do?
#
# Exercise: e01 (broadcasting). e15 asks in which order a tape that forks is walked: a hard one.
