"""Lesson 10: the bottom prior, told the top.

You will learn  how the fine map is predicted from the coarse one, and what that is worth
Minutes         20 (and about 1 of training)
Needs           lessons 7 to 9

    python examples/10_the_conditional_bottom_prior.py --quick
"""

# %% [markdown]
# A hierarchy is sampled from the top down: $p(\mathrm{top})$ first, then $p(\mathrm{bottom} \mid
# \mathrm{top})$. So the bottom prior is given the whole top map, besides the bottom codes before a
# place. The top is embedded, enlarged to the bottom's grid, and sent through a network that may
# look everywhere (the *conditioning stack*). The result enters every gate. Nothing about the top
# is forbidden: it is there before the bottom starts.
#
# ![The conditioning stack and where its output enters the prior](../docs/diagrams/conditioning.svg)

# %% A task where the top is everything
# Top maps of 4x4 random codes out of 8, and bottom maps of 8x8 in which every code is the top code
# above it. A prior that sees only the bottom's past can copy within a block of 2x2, but cannot
# know the block's first place: $\log 8 = 2.08$ nats there, 0.52 on average. A prior that is told
# the top can know everything.
import course_run
import lesson
import numpy as np

import vqv2.functional as F
from vqv2 import Tensor
from vqv2.autodiff import no_grad
from vqv2.config import PriorConfig
from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation import unigram_nats
from vqv2.models.prior import Prior
from vqv2.optim import Adam, prior_learning_rate
from vqv2.training.draws import batch_indices, step_generator

options = lesson.options(__doc__, noise=(0.0, 0, 1))
small = PriorConfig(
    hidden_units=16, residual_units=32, layers=2, attention_layers=0, filter_size=3, dropout=0.0,
    output_stack_layers=0, conditioning_blocks=2, conditioning_units=16,
)  # fmt: skip


def maps(count, rng):
    """(top (count, 4, 4), bottom (count, 8, 8)); a share `noise` of the bottom is anything."""
    top = rng.integers(8, size=(count, 4, 4))
    bottom = top.repeat(2, axis=1).repeat(2, axis=2)
    anything = rng.random(bottom.shape) < options.noise
    return top, np.where(anything, rng.integers(8, size=bottom.shape), bottom)


def learn(told):
    """(prior, nats at every place (8, 8)) of a small prior that is told the top, or is not."""
    prior = Prior(small, 8, 8, np.random.default_rng(0), coarser=[(8, 4)] if told else ())
    adam, rng = Adam(prior.parameters(), polyak_decay=0.9), np.random.default_rng(1)
    for _ in range(60 if options.quick else 200):
        top, bottom = maps(32, rng)
        prior.loss(bottom, coarser=[top] if told else (), rng=rng).backward()
        adam.step(learning_rate=1e-2)
    with no_grad(), adam.averaged():
        top, bottom = maps(200, rng)
        logits = prior(bottom, coarser=[top] if told else ())
        return prior, F.cross_entropy(logits, bottom).array.mean(axis=0)


(_, alone), (told_prior, told) = learn(told=False), learn(told=True)
print(f"the made-up task: {alone.mean():.2f} nats per code without the top, {told.mean():.2f} with")

# %% Inside the conditioning stack
# Which places of the top reach the condition of one bottom place? Ask the gradient, as in lesson 8.
conditioning = told_prior.conditioning
top, _ = maps(1, np.random.default_rng(2))
leaf = Tensor(conditioning.embeddings[0](top).array, requires_grad=True)
condition = conditioning.stack(F.upsample(leaf, factor=2))
cotangent = np.zeros_like(condition.array)
cotangent[0, 3, 3] = 1
condition.backward(cotangent)
sight = np.abs(leaf.grad[0]).sum(axis=-1)

# %% The trained priors of our small hierarchy
run = course_run.trained(options, "prior-bottom")
hierarchy = Hierarchy.load(run.folder)
store = course_run.codes(run)
conditional = hierarchy.priors["bottom"]
for part, count in conditional.parameter_table():
    print(f"{part:20} {count:7,} parameters")

# %% The same prior, not told the top
# Same layers, same data, same number of steps; `coarser` is left out. Both know the class.
config = run.config.prior("bottom")
blind = Prior(config, 64, 8, np.random.default_rng(0), classes=2)
adam = Adam(blind.parameters(), config.polyak_decay)
codes, labels = store.codes("train", "bottom"), store.labels("train")
for step in range(1, config.steps + 1):
    batch = batch_indices(0, step, config.batch, len(codes))
    blind.loss(codes[batch], labels[batch], rng=step_generator(0, step)).backward()
    adam.step(prior_learning_rate(step, config))

# %% What is the top worth?
# The loss is the mean of $-\log p(\mathrm{code})$, in nats per code: how surprised the prior is,
# on average.
held_out = {level: store.codes("held_out", level)[:] for level in store.levels}
labels = store.labels("held_out")
with no_grad(), adam.averaged():
    nats_blind = blind.loss(held_out["bottom"], labels).item()
with no_grad():
    nats = conditional.loss(held_out["bottom"], labels, [held_out["top"]]).item()
    # The top of another image: does the prior really read it?
    other = np.roll(held_out["top"], 1, axis=0)
    nats_wrong = conditional.loss(held_out["bottom"], labels, [other]).item()
guesses = {
    "all alike": np.log(64),
    "frequencies": unigram_nats(codes, held_out["bottom"], 64),
    "prior, no top": nats_blind,
    "prior with top": nats,
    "prior, top of another": nats_wrong,
}

# %% Many bottoms for one top
# Keep the top of a held-out image and draw the bottom anew, several times.
chosen = np.linspace(0, len(labels) - 1, 5).astype(int)
tops = held_out["top"][chosen].astype(np.int64)
names = [hierarchy.class_names[label] for label in labels[chosen]]
drawn = [
    hierarchy.sample_codes(5, names, seed, given={"top": tops}, temperature=0.8)
    for seed in range(5)
]
kept = all(np.array_equal(sample["top"], tops) for sample in drawn)

# %% Draw it
_, images = course_run.images(options.out)
drawing = lesson.Figure((14, 8), layout="constrained")
upper, lower = drawing.subfigures(2, 1, height_ratios=[0.55, 1])
panels = upper.subplots(1, 4, gridspec_kw={"width_ratios": [1, 1, 1, 1.2]})
shades = {"cmap": "Oranges", "vmin": 0, "vmax": np.log(8)}
lesson.show(panels[0], alone, f"made up, without the top: {alone.mean():.2f} nats", True, **shades)
lesson.show(panels[1], told, f"with the top: {told.mean():.2f} nats", True, **shades)
upper.colorbar(panels[1].images[0], ax=panels[:2], label="nats at each place")
lesson.show(
    panels[2], sight / sight.max(), "top places that reach bottom place (3, 3)", True, cmap="Blues"
)
panels[2].plot(1, 1, "s", color="black", ms=10)
panels[3].remove()
left, right = lower.subfigures(1, 2, width_ratios=[1.7, 1])
axes = left.subplots(5, 7)
columns = [
    images.batch(chosen),
    hierarchy.decode({"top": tops}, levels=["top"]),
    *(hierarchy.decode(sample) for sample in drawn),
]
titles = ["held-out image", "its top only", *(f"bottom {i}" for i in range(1, 6))]
for i, (title, column) in enumerate(zip(titles, columns, strict=True)):
    for place, picture in zip(axes[:, i], column, strict=True):
        lesson.show(place, picture)
    axes[0, i].set_title(title, fontsize=10)
bars = right.subplots()
inks = ["#BBBBBB", "#BBBBBB", lesson.PALETTE[1], lesson.PALETTE[0], lesson.PALETTE[3]]
bars.barh(list(guesses), list(guesses.values()), color=inks)
for line, value in enumerate(guesses.values()):
    bars.text(value, line, f" {value:.2f}", va="center")
bars.set(title="Small hierarchy: held-out nats per code", xlim=(0, 1.15 * max(guesses.values())))
bars.invert_yaxis()
lesson.save(
    drawing,
    options,
    "10_the_conditional_bottom_prior",
    "Above: nats at each place of the made-up task without and with the top, and which "
    "top places reach one bottom place. Below: several bottoms drawn for one top, and "
    "what the top is worth.",
)

# %% Figures
for name, value in guesses.items():
    print(f"{name:22} {value:.3f} nats = {value / np.log(2):.3f} bits per code")
print(f"a whole bottom map takes {64 * nats / np.log(2):.0f} bits instead of {64 * 6}")
lesson.expect(
    told.mean() < 0.1 < 0.4 < alone.mean() < 0.7,
    "the made-up bottom is known from the top, and not from its own past",
    f"With a share of {options.noise:g} of the bottom random, the code above is right with "
    f"probability {1 - options.noise * 7 / 8:.2f} only. Neither prior can know the rest, and one "
    "that has to copy its neighbours copies mistakes as well.",
)
lesson.expect(
    alone.mean() - told.mean() > 0.2,
    "the top is worth more than 0.2 nats per code there",
    "What the top says holds too seldom.",
)
lesson.expect(
    sight[2:].any() and sight[:, 2:].any(),
    "the condition of (3, 3) reads the top below it and to the right of it, too",
)
lesson.expect(kept, "the given tops are kept")
lesson.expect(nats < 1.05 * nats_blind, "told the top, the prior is no worse")
lesson.expect(nats_blind < guesses["frequencies"], "both are better than frequencies")
lesson.expect(nats < nats_wrong, "another image's top misleads the prior")

# %% [markdown]
# In the small hierarchy the top is worth little beyond what the class and the neighbours say
# already: its maps are small and its images few. Yet the wrong top shows how much the prior relies
# on it. In the paper the bottom map is 64x64, its prior sees a few neighbours at a time, and only
# the top says what is where.
#
# The stack is the paper's pseudo-code, line by line: `vqv2/nn/conditioning.py`.
#
# Try: `--noise 0.5`. What will the two figures of the made-up task be?
#
# Exercise: e12 (what the top is worth, by counting).
