"""Lesson 12: the whole hierarchy, from images to new images.

You will learn  to put the parts together, to sample, and to ask whether the samples are new
Minutes         20 (and up to 2 of training, if earlier lessons have not done it)
Needs           lessons 6 to 11

    python examples/12_the_whole_hierarchy.py --quick
"""

# %% [markdown]
# All parts are there: an autoencoder that turns images into two maps of codes, a prior for the top
# map, and a prior for the bottom given the top. To make a new image: draw a top map, draw a bottom
# map for it, decode both (Algorithm 2, lines 10-14).

# %% Train what is missing
# The same four stages as on the command line: `vqv2 train autoencoder`, `vqv2 encode`, and
# `vqv2 train prior` for each level.
import course_run
import lesson
import numpy as np

from vqv2.hierarchy import Hierarchy
from vqv2.lab.evaluation import distortion, unigram_nats
from vqv2.sampling import sample_codes
from vqv2.training.prior import evaluate_prior

options = lesson.options(__doc__, temperature=(0.8, 0.01, 100))
run = course_run.trained(options, "prior-bottom")
hierarchy = Hierarchy.load(run.folder)
store = course_run.codes(run)
training, held_out = course_run.images(options.out)

# %% What an image costs, and what it loses
# Rate: the bits that the priors need for the codes of a held-out image. Distortion: the squared
# error of its reconstruction. These two say honestly how good such a model is (section E).
table = {}
for level in hierarchy.levels:
    size = hierarchy.priors[level].size
    known = unigram_nats(store.codes("train", level), store.codes("held_out", level), 64)
    nats = evaluate_prior(hierarchy.priors[level], store, level, "held_out")
    table[level] = (known, nats, size * size * nats / np.log(2))
mse, psnr = distortion(hierarchy, held_out)["top", "bottom"]
bits = sum(row[2] for row in table.values())

# %% Four new images, step by step
# Level after level, the top first; each prior gets the codes of the levels before it:
#
# $$p(\mathrm{top}, \mathrm{bottom}) = p(\mathrm{top})\, p(\mathrm{bottom} \mid \mathrm{top}).$$
#
# This is called *ancestral sampling*. `hierarchy.sample` does just this.
rng = np.random.default_rng(0)
label = np.full(4, hierarchy.class_names.index("flags"))
drawn = {}
for level in hierarchy.levels:
    prior = hierarchy.priors[level]
    drawn[level] = sample_codes(prior, 4, rng, label, coarser=list(drawn.values()))
first_images = hierarchy.decode(drawn)
print("drawn:", {level: level_codes.shape for level, level_codes in drawn.items()})

# %% New images
# *Temperature* divides the logits before a code is drawn: $\mathrm{softmax}(l / T)$. Below 1 the
# likely codes get likelier; images become safer and more alike. At 1 the model says what it
# believes.
temperatures = (1.0, options.temperature, 0.5)
per_row = 8
rows = {
    (name, temperature): hierarchy.sample(per_row, name, seed=3, temperature=temperature)
    for name in hierarchy.class_names
    for temperature in temperatures
}
again = hierarchy.sample(per_row, "flags", seed=3, temperature=1.0)

# %% Are they new?
# Find the training image nearest to each sample, by squared error. Copies would have about the
# error of a reconstruction, or less.
pixels = training.batch(np.arange(len(training)))


def nearest(samples):
    """(nearest training images, their mean squared errors)."""
    errors = ((samples[:, None] - pixels[None]) ** 2).mean(axis=(2, 3, 4))
    return pixels[errors.argmin(axis=1)], errors.min(axis=1)


twins, errors = nearest(rows["flags", options.temperature])


def variety(samples):
    """How much images of a row differ: their mean squared distance to the row's mean."""
    return ((samples - samples.mean(axis=0)) ** 2).mean()


spread = {t: variety(rows["flags", t]) for t in temperatures}

# %% Draw it
lines = [(f"{name}, temperature {t}", row) for (name, t), row in rows.items()]
lines += [(f"nearest training images\nto flags at {options.temperature}", twins)]
lines += [("drawn step by step", [*first_images, *[np.ones((32, 32, 3))] * (per_row - 4)])]
drawing, axes = lesson.figure(10, 8, len(lines), per_row)
for line, (name, row) in zip(axes, lines, strict=True):
    for place, picture in zip(line, row, strict=True):
        lesson.show(place, picture)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
lesson.save(
    drawing,
    options,
    "12_the_whole_hierarchy",
    "New faces and flags at three temperatures; the training images nearest to the flags; "
    "and four flags drawn step by step.",
)

# %% Figures
for level, (known, nats, level_bits) in table.items():
    print(f"{level:7} {nats:.2f} nats per code (frequencies: {known:.2f}), {level_bits:.0f} bits")
print(f"an image: {bits:.0f} bits, PSNR {psnr:.1f} dB; its pixels: {32 * 32 * 24} bits")
print(f"squared error to the nearest training image: {errors.min():.4f} to {errors.max():.4f}")
for temperature, value in spread.items():
    print(f"flags at temperature {temperature}: variety {value:.4f}")
lesson.expect(
    all(nats < known for known, nats, _ in table.values()),
    "the priors are surprised less than someone who knows only frequencies",
)
lesson.expect(np.array_equal(again, rows["flags", 1.0]), "same seed, same images")
lesson.expect(
    np.median(errors) > mse / 5,
    "most samples are no copies of training images; a plain red flag has a twin, of course",
    "The colder, the more often the likeliest codes are drawn, and these are the commonest images.",
)
if options.temperature < 0.5:
    print("Colder than 0.5 the likeliest code is drawn nearly always: images are safe, alike, and")
    print("poor in detail, as the likeliest map is not a typical one. At 0 all would be the same.")
if options.temperature > 1:
    print("Above 1 unlikely codes are drawn more often than they occur: more variety, of mistakes.")
print(f"watch it draw: vqv2 play {run.folder}")

# %% [markdown]
# The figures are small because everything here is: 32 pixels, 400 images, minutes on two cores. To
# watch this run draw, code by code, and to change its mind: `vqv2 play` with the folder that the
# last line names (`docs/play.md`). `vqv2 demo` is the next size up.
# `examples/train_imagenet256.py` is the paper's, on a GPU.
#
# Try: `--temperature 0.2` and `--temperature 1.5`. What becomes of the variety, and of the
# quality?
#
# Exercises: e14 (temperature, top-p, and a draw), e15 (the order of a tape, left from lesson 1).
