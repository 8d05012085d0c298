"""Lesson 1: tensors and the tape.

You will learn  how a program that computes a number also computes its gradient
Minutes         20
Needs           NumPy, the chain rule

    python examples/01_tensors_and_the_tape.py --quick
"""

# %% [markdown]
# Training a network means: compute one number that says how bad it is (the *loss*), find how the
# loss changes with every parameter (the *gradient*), and step the parameters against it. This
# lesson is about the second part. `vqv2/autodiff.py` does it in 350 lines.

# %% A small problem: 40 points and a line through them
import lesson
import numpy as np

import vqv2.functional as F
from vqv2 import Tensor

options = lesson.options(__doc__)
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 40)
y = 1.5 * x - 0.5 + 0.2 * rng.standard_normal(40)

# %% The gradient by hand
# The loss of a line is the mean squared error L(s, c) = mean((s x + c - y)^2). With the residual
# r = s x + c - y the chain rule says dL/ds = mean(2 r x) and dL/dc = mean(2 r).
s, c = -1.0, 1.0
residual = s * x + c - y
by_hand = np.mean(2 * residual * x), np.mean(2 * residual)

# %% The same with tensors
# A `Tensor` wraps an array. `requires_grad` says that we want the gradient with respect to it.
# x and y stay plain arrays: they are data, nobody changes them.
slope = Tensor(np.array(s), requires_grad=True)
intercept = Tensor(np.array(c), requires_grad=True)


def loss(slope, intercept):
    """Mean squared error of a line, a tensor holding one number."""
    return F.mean((slope * x + intercept - y) ** 2)


value = loss(slope, intercept)
print(f"loss {value.item():.4f}")

# %% The tape
# While it computed, every operation left a *node*: its name, where its inputs came from (its
# *parents*), and a function for its gradient. The nodes together are the tape. A tensor that no
# operation made, like our two parameters, is a *leaf*. Constants are not recorded at all, and of
# the results on the way the tape keeps only those that a gradient will read.
# Here every node has one parent that was computed, so we can simply follow the chain:
names = {id(slope): "slope", id(intercept): "intercept"}
tape, node = [], value.node
while node is not None:
    computed = [p.node for p in node.parents if p is not None and p.node is not None]
    leaves = [names[id(p)] for p in node.parents if p is not None and p.node is None]
    constants = sum(p is None for p in node.parents)
    tape.append((node.name, leaves, constants))
    node = computed[0] if computed else None
for name, leaves, _ in tape:
    print(name, "of the leaf" if leaves else "", *leaves)

# %% Backward
# `backward` starts at the loss with dL/dL = 1 and goes down the tape. Each node is told
# dL/d(its output), called the *cotangent* of the output, and answers with dL/d(its inputs). What
# reaches a leaf is left in its `grad`.
value.backward()
from_tape = slope.grad.item(), intercept.grad.item()
print(f"by hand   dL/ds {by_hand[0]:+.6f}  dL/dc {by_hand[1]:+.6f}")
print(f"from tape dL/ds {from_tape[0]:+.6f}  dL/dc {from_tape[1]:+.6f}")

# %% Stretched values
# `slope` is one number and x has 40. The product *broadcasts* the slope: it acts as if it were
# copied 40 times, and each copy gets a cotangent. A change of the slope changes all copies at
# once, so their cotangents are added up. That is why slope.grad is a single number again.
assert slope.grad.shape == slope.shape == ()

# %% Values used twice
# In a * a the tensor a is both factors. Each use sends a cotangent, and they are added: 2 a.
a = Tensor(np.array(3.0), requires_grad=True)
(a * a).backward()
assert a.grad == 6

# %% Descend
# Step against the gradient, again and again. Every step computes on a fresh tape: `backward` uses
# a tape up, so that its memory is free at once.
path = [(s, c)]
for _ in range(60):
    slope, intercept = (Tensor(np.array(v), requires_grad=True) for v in path[-1])
    loss(slope, intercept).backward()
    path.append(tuple(t.array - 0.3 * t.grad for t in (slope, intercept)))
path = np.array(path)
best = np.polyfit(x, y, 1)

# %% Draw what happened
drawing, (tree, valley, fit) = lesson.figure(14, 4.4, 1, 3)
blue, orange = lesson.PALETTE[:2]
down = {"arrowstyle": "->", "color": orange, "lw": 1.8}


def box(text, place, ink):
    """A word in a box."""
    style = {"boxstyle": "round", "fc": "white", "ec": ink}
    tree.text(*place, text, ha="center", va="center", color=ink, bbox=style)


for depth, (name, leaves, constants) in enumerate(tape):
    box(name, (0, -depth), blue)
    if depth + 1 < len(tape):
        tree.annotate("", (0, -depth - 0.75), (0, -depth - 0.25), arrowprops=down)
    for leaf in leaves:
        box(leaf, (-1.2, -depth - 0.7), orange)
        tree.annotate("", (-0.85, -depth - 0.55), (-0.3, -depth - 0.15), arrowprops=down)
    if constants:
        tree.text(0.62, -depth - 0.55, "a constant: nothing to send", color="#999999")
        tree.plot([0.35, 0.6], [-depth - 0.12, -depth - 0.42], color="#BBBBBB")
tree.text(0, 0.6, "cotangent 1", ha="center", color=orange)
tree.set(xlim=(-1.8, 2.4), ylim=(-len(tape) - 0.2, 1), title="The tape: cotangents run down it")
tree.axis("off")

slopes, intercepts = np.meshgrid(np.linspace(-1.6, 2.8, 80), np.linspace(-1.6, 1.4, 80))
heights = ((slopes[..., None] * x + intercepts[..., None] - y) ** 2).mean(axis=-1)
valley.contour(slopes, intercepts, np.log(heights), 14, cmap="Greys_r", linewidths=0.8)
valley.plot(*path.T, "o-", color=orange, ms=3.5)
valley.plot(*best, "*", color=blue, ms=16, label="least squares")
valley.set(title="Down the valley of the loss", xlabel="slope", ylabel="intercept")
valley.legend(loc="upper right")

fit.plot(x, y, "o", color="#888888", ms=4)
ends = np.array([-1, 1])
for step, shade in ((0, 0.25), (2, 0.45), (6, 0.7), (60, 1.0)):
    fit.plot(ends, path[step, 0] * ends + path[step, 1], color=orange, alpha=shade)
    fit.text(1.03, path[step].sum(), f"step {step}", color=orange, va="center", fontsize=9)
fit.set(title="The line after some steps", xlabel="x", ylabel="y", xlim=(-1.05, 1.4))
lesson.save(drawing, options, "01_tensors_and_the_tape")

# %% Figures
difference = max(abs(h - t) for h, t in zip(by_hand, from_tape, strict=True))
print(f"largest difference between the gradient by hand and the tape's: {difference:.1e}")
print(f"descent ends at {path[-1].round(4)}, least squares says {best.round(4)}")
assert difference < 1e-12
assert np.allclose(path[-1], best, atol=1e-3)

# %% [markdown]
# Try: a rate of 1.2 instead of 0.3. Try: fit a parabola with a third leaf.
# Exercise: e01 (broadcasting). e15 asks in which order to walk a tape that forks; it is a hard one.
