"""Lesson 9: gated layers and attention.

You will learn  the two kinds of layers of a prior, and a task that only one of them can do
Minutes         25
Needs           lesson 8

    python examples/09_gates_and_attention.py --quick
"""

# %% [markdown]
# A prior is a stack of two kinds of layers, as in [PixelSNAIL](https://arxiv.org/abs/1712.09763).
# *Gated* convolutional layers look at the neighbourhood. *Attention* layers, one after every few
# of them, look at all earlier places at once. Both compute $x + f(x)$, a [residual
# connection](https://arxiv.org/abs/1512.03385): a layer learns what to change, and in the backward
# pass the cotangent of $x$ arrives whole, however many layers there are.
#
# ![A gated layer and an attention block](../docs/diagrams/layers.svg)
#
# Codes are names, not quantities: 17 is not between 16 and 18. So the first thing in a prior is an
# *embedding*, a table with one learned vector for each code, and layers read these vectors.

# %% The gate
# For each channel a gated layer computes two things: what to add, $a$, and how far to open, $b$.
# It adds $a\,\sigma(b)$; the sigmoid $\sigma(b) = 1 / (1 + e^{-b})$ is between 0 and 1. The layer
# can thus say "only if". (Its last convolution has twice as many outputs as the map has channels:
# one half are the $a$, one half the $b$.)
import lesson
import numpy as np

import vqv2.functional as F
from vqv2 import Tensor, nn
from vqv2.config import PriorConfig
from vqv2.models.prior import Prior
from vqv2.optim import Adam

options = lesson.options(__doc__, layers=(2, 1, 20))
both = Tensor(np.array([[2.0, -4.0], [2.0, 0.0], [2.0, 4.0]]))  # rows [a, b]
print("a = 2 through a gate at b = -4, 0, 4:", F.gate(both).array.ravel().round(3))

# %% Attention
# [Attention](https://arxiv.org/abs/1706.03762) works with questions and answers. Every place $i$
# asks a question, a vector $q_i$. Every earlier place $j$ offers a key $k_j$ and a value $v_j$.
# Place $i$ reads the mean of the values, weighted by how well the keys answer:
#
# $$\mathrm{read}_i = \sum_{j < i} w_{ij} v_j, \qquad
# w_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_{l < i} \exp(q_i \cdot k_l / \sqrt d)}.$$
#
# The weights add up to 1: a softmax again, over the earlier places. In the prior the channels are
# cut into several *heads*, each of which asks its own question. Attention knows a place by what it
# contains, not by where it is. So two *position channels* are added to the question: row and
# column, from -0.5 to 0.5.
#
# If the values are the rows of a unit matrix, a place reads the weights themselves:
rng = np.random.default_rng(0)
queries, keys = rng.standard_normal((2, 1, 6, 4))
weights = F.causal_attention(queries, keys, np.eye(6)[None]).array[0]
print(weights.round(2))

# %% The first place
# It has no place to read from, and must read exactly zero. (A careless softmax would average over
# everything in that case, and so show it the future.)
assert (weights[0] == 0).all()
assert np.allclose(weights[1:].sum(axis=1), 1)

# %% A task: remember a colour for a long time
# 8x8 maps of random codes, except for two rows: the first row is all one code, and the last row is
# all that same code. The loss is *cross-entropy*: the mean of $-\log p$, where $p$ is the
# probability given to the right code, in nats. No prior can predict what is in between: $\log 8 =
# 2.08$ nats per code. In the last row it can be certain, if it can see the first. From the second
# place of that row on, copying the left neighbour will do. As there is nothing to learn in
# between, we train on the last row alone.
SIZE, CODES = 8, 8


def maps(count, rng):
    """(count, 8, 8) integers."""
    codes = rng.integers(CODES, size=(count, SIZE, SIZE))
    codes[:, 0] = codes[:, 0, :1]
    codes[:, -1] = codes[:, 0]
    return codes


def train(attention_layers):
    """(prior, nats per place (8, 8) on maps that it has not seen)."""
    config = PriorConfig(
        hidden_units=16,
        residual_units=32,
        layers=options.layers,
        attention_layers=attention_layers,
        attention_heads=2,
        filter_size=3,
        dropout=0.0,
        output_stack_layers=0,
    )
    prior = Prior(config, CODES, SIZE, np.random.default_rng(0))
    adam = Adam(prior.parameters(), polyak_decay=0.9)
    rng = np.random.default_rng(1)
    for _ in range(60 if options.quick else 300):
        codes = maps(32, rng)
        F.mean(F.cross_entropy(prior(codes, rng=rng), codes)[:, -1]).backward()
        adam.step(learning_rate=1e-2)
    with adam.averaged():
        codes = maps(200, rng)
        nats = F.cross_entropy(prior(codes), codes).array.mean(axis=0)
    return prior, nats


names = {0: "convolutions only", 1: "with one attention layer"}
trained = {name: train(count) for count, name in names.items()}


# %% What does the first place of the last row see?
# As in lesson 8, ask the gradient, now of the logits with respect to the embedded codes.
def seen(prior):
    """(8, 8): size of the gradient of the logits at (7, 0) by each embedded code."""
    embedded = prior.embedding(maps(1, np.random.default_rng(2)))
    leaf = Tensor(embedded.array, requires_grad=True)
    x = prior.first(leaf)
    for block in prior.blocks:
        x = block(x, leaf) if isinstance(block, nn.AttentionBlock) else block(x)
    logits = prior.output(x)
    cotangent = np.zeros_like(logits.array)
    cotangent[0, 7, 0] = np.random.default_rng(3).standard_normal(CODES)
    logits.backward(cotangent)
    return np.abs(leaf.grad[0]).sum(axis=-1)


# %% Draw it
drawing, axes = lesson.figure(13, 7, 2, 3)
grid = np.linspace(-6, 6, 100)
for b, ink in zip((-4, -1, 0, 1, 4), lesson.PALETTE, strict=False):
    pair = np.stack([grid, np.full(100, float(b))], axis=-1)
    axes[0, 0].plot(grid, F.gate(pair).array.ravel(), label=f"b = {b}", color=ink)
axes[0, 0].set(title="The gate: a sigmoid(b)", xlabel="a")
axes[0, 0].legend(fontsize=8)
one_map = maps(1, np.random.default_rng(2))[0]
lesson.show(axes[0, 1], one_map, "A map: the last row repeats the first", cmap="Set3", vmax=11)
for offset, (ink, (name, (_, nats))) in enumerate(
    zip((lesson.PALETTE[1], lesson.PALETTE[0]), trained.items(), strict=True)
):
    axes[0, 2].bar(np.arange(SIZE) + 0.4 * offset, nats[-1], 0.38, color=ink, label=name)
axes[0, 2].axhline(np.log(CODES), color="#888888", ls="--", label="no idea: log 8")
axes[0, 2].set(title="Nats in the last row", xlabel="column", ylim=(0, 2.9))
axes[0, 2].legend(fontsize=9, loc="upper right")
axes[1, 0].imshow(weights, cmap="Blues", vmin=0)
axes[1, 0].set(title="Attention: who reads whom", xlabel="place j", ylabel="place i")
axes[1, 0].grid(False)
for panel, (name, (prior, _)) in zip(axes[1, 1:], trained.items(), strict=True):
    sight = seen(prior)
    lesson.show(panel, np.sqrt(sight / sight.max()), f"What (7, 0) sees: {name}", cmap="Blues")
    panel.plot(0, 7, "s", color="black", ms=12)
lesson.save(
    drawing,
    options,
    "09_gates_and_attention",
    "Above: what a gate lets through; a map of the task; the price of the last row with "
    "and without attention. Below: the weights of attention, and what the first place of "
    "the last row sees.",
)

# %% Figures
for name, (_, nats) in trained.items():
    print(f"{name:25} at (7, 0): {nats[7, 0]:.2f} nats; rest of the row: {nats[7, 1:].mean():.2f}")
without, with_attention = (nats[7, 0] for _, nats in trained.values())
reach = options.layers + 1  # rows; the first convolution goes up one, too
print(f"the convolutions reach {reach} rows up, and the first row is {SIZE - 1} rows up")
lesson.expect(with_attention < 1.0, "attention finds the colour of the first row")
lesson.expect(
    without > 1.9,
    "convolutions alone are helpless",
    "They see the first row now, by a path through all layers, and have begun to use it.",
)
if reach >= SIZE - 1 and without > 1.9:
    print("The convolutions could see the first row, but have not learned to: its colour has to be")
    print("handed on by all layers, past random codes. Attention takes it in one step.")

# %% [markdown]
# Why not attention alone? It costs one product for every pair of places, and neighbours matter
# most. In the paper 4 of 24 layers of the top prior attend; the bottom prior has none.
#
# Try: `--layers 6`, which lets the convolutions reach the first row. Does it help?
#
# Exercise: e11 (causal attention, and the exact zero).
