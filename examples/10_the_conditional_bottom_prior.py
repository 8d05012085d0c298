"""Lesson 10: the bottom prior, told the top.

You will learn  how the fine map is predicted from the coarse one, and what that is worth
Minutes         20 (and about 1 of training)
Needs           lessons 7 to 9

    python examples/10_the_conditional_bottom_prior.py --quick
"""

# %% [markdown]
# A hierarchy is sampled from the top down: p(top) first, then p(bottom | top). So the bottom prior
# gets, besides the bottom codes before a place, the whole top map. It is embedded, enlarged to the
# bottom's grid, sent through a network that may look everywhere (the *conditioning stack*), and
# then enters every gate. Nothing about the top is forbidden: it is there before the bottom starts.

# %% The trained priors
import course_run
import lesson
import numpy as np

from vqv2.autodiff import no_grad
from vqv2.evaluation import unigram_nats
from vqv2.hierarchy import Hierarchy
from vqv2.models.prior import Prior
from vqv2.optim import Adam, prior_learning_rate
from vqv2.training.order import batch_indices, step_generator

options = lesson.options(__doc__)
run = course_run.trained(options, "prior-bottom")
hierarchy = Hierarchy.load(run.folder)
store = course_run.codes(run)
conditional = hierarchy.priors["bottom"]
for part, count in conditional.parameter_table():
    print(f"{part:20} {count:7,} parameters")

# %% The same prior, not told the top
# Same layers, same data, same number of steps; `coarser` is left out. Both are told the class.
config = run.config.prior("bottom")
blind = Prior(config, 64, 8, np.random.default_rng(0), classes=2)
adam = Adam(blind.parameters(), config.polyak_decay)
codes, labels = store.codes("train", "bottom"), store.labels("train")
for step in range(1, config.steps + 1):
    batch = batch_indices(0, step, config.batch, len(codes))
    blind.loss(codes[batch], labels[batch], rng=step_generator(0, step)).backward()
    adam.step(prior_learning_rate(step, config))

# %% What is the top worth?
# The loss is the mean of -log p(code), in nats per code: how surprised the prior is, on average.
held_out = {level: store.codes("held_out", level) for level in store.levels}
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
    "prior, top of another": nats_wrong,
    "prior with top": nats,
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
drawing = lesson.Figure((14, 5.4), layout="constrained")
left, right = drawing.subfigures(1, 2, width_ratios=[1.7, 1])
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
inks = ["#BBBBBB", "#BBBBBB", lesson.PALETTE[1], lesson.PALETTE[3], lesson.PALETTE[0]]
bars.barh(list(guesses), list(guesses.values()), color=inks)
for line, value in enumerate(guesses.values()):
    bars.text(value, line, f" {value:.2f}", va="center")
bars.set(title="Nats per bottom code, held out", xlim=(0, 1.15 * max(guesses.values())))
bars.invert_yaxis()
lesson.save(drawing, options, "10_the_conditional_bottom_prior")

# %% Figures
for name, value in guesses.items():
    print(f"{name:22} {value:.3f} nats = {value / np.log(2):.3f} bits per code")
print(f"a whole bottom map takes {64 * nats / np.log(2):.0f} bits instead of {64 * 6}")
assert kept
assert nats < 1.05 * nats_blind  # so few images are held out that a draw is possible
assert nats_blind < guesses["frequencies"]
assert nats < nats_wrong

# %% [markdown]
# For small maps and few images the top is worth little more than the class and the neighbours tell
# already. The wrong top shows how much the prior goes by it all the same. In the paper the bottom
# map is 64x64, its prior sees a few neighbours at a time, and only the top tells it what is where.
#
# The stack is the paper's pseudo-code, line by line: `vqv2/nn/conditioning.py`.
# Exercise: e04 (Adam and the paper's learning rate), which trained all of these.
