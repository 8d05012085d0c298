"""Lesson 11: incremental sampling.

You will learn  why drawing a map code by code need not cost a whole network pass per code
Minutes         20
Needs           lessons 8 and 9

    python examples/11_incremental_sampling.py --quick
"""

# %% [markdown]
# To draw a map from the prior, compute the logits of the first place, draw its code, compute the
# logits of the second place, and so on. The naive way runs the whole network on the whole map at
# every step, and throws away all but one place. But the network is causal: what it computed at
# earlier places does not change when a code is added. So keep it. That is called a *cache*.
#
# ![What is kept of earlier places when one place is sampled](../docs/diagrams/cache.svg)

# %% A prior with random weights
# Speed and equality do not depend on training.
import time

import lesson
import numpy as np

from vqv2.config import PriorConfig
from vqv2.models.prior import Prior
from vqv2.sampling import IncrementalPrior, NaivePrior

options = lesson.options(__doc__, size=(0, 0, 32))
size = options.size or (12 if options.quick else 24)
config = PriorConfig(
    hidden_units=64, residual_units=128, layers=6, attention_layers=2, attention_heads=4,
    output_stack_layers=2,
)  # fmt: skip
prior = Prior(config, codebook_size=64, size=size, rng=np.random.default_rng(0))


# %% Two samplers, one interface
# `logits()` gives those of the next place, then `append(codes)` adds what was drawn. To draw is to
# add *Gumbel noise* to the logits and to take the largest, which is exactly a draw from the
# softmax: `docs/before-you-begin.md` says why. Both samplers get the same noise.
def draw(sampler):
    """(codes (size * size,), logits of every place, seconds of every place)."""
    rng = np.random.default_rng(7)
    codes, logits, seconds = [], [], []
    for _ in range(size * size):
        start = time.perf_counter()
        logits.append(sampler.logits()[0])
        codes.append(int((logits[-1] + rng.gumbel(size=64)).argmax()))
        sampler.append(np.array(codes[-1:]))
        seconds.append(time.perf_counter() - start)
    return np.array(codes), np.array(logits), np.array(seconds)


for sampler in (NaivePrior, IncrementalPrior):  # compile what has to be compiled
    warm = sampler(prior, 1)
    for _ in range(2 * size):
        warm.logits()
        warm.append(np.array([0]))
naive_codes, naive_logits, naive_seconds = draw(NaivePrior(prior, 1))
codes, logits, seconds = draw(IncrementalPrior(prior, 1))
difference = np.abs(logits - naive_logits).max()
print(f"same codes: {np.array_equal(codes, naive_codes)}, logits differ by {difference:.1e}")

# %% What is kept
# A causal 5x5 convolution reads two rows above and two places on the left: keep the last rows of
# its input. Attention reads keys and values of all earlier places: keep all of them.
cached = IncrementalPrior(prior, 1)
position = size * (size // 2) + size // 2
for code in codes[:position]:
    cached.logits()
    cached.append(np.array([code]))
layers = [layer for layer in cached.layers if layer not in cached.attention]
rows_kept = sum(layer.first.above.size + layer.first.input.size for layer in layers)
keys_kept = sum(layer.past.size for layer in cached.attention)
print(f"numbers in the caches: rows {rows_kept:,}, keys and values {keys_kept:,}")


# %% Count the work
# Multiplications with weights for one place: every weight once. For the whole map: every weight at
# every place. The naive sampler does the second where the first is enough.
weights = prior.parameter_count() - prior.embedding.parameter_count()
print(f"multiplications per place: incremental {weights:,}, naive {weights * size**2:,}")

# %% Draw it
drawing, axes = lesson.figure(15, 4.4, 1, 4, gridspec_kw={"width_ratios": [1, 1, 1, 1.5]})
place = np.arange(size * size).reshape(size, size)
row, column = divmod(position, size)
white, grey, blue, orange = (
    np.array(c) for c in ([1, 1, 1], [0.9, 0.9, 0.9], [0.55, 0.75, 0.9], [0.95, 0.65, 0.35])
)
panels = {
    "naive: computed at every step": np.full((size, size), True),
    "a convolution's cache": (place < position) & (np.arange(size)[:, None] >= row - 2),
    "attention's cache": place < position,
}
for axis, (title, kept) in zip(axes, panels.items(), strict=False):
    picture = np.where(place[..., None] < position, grey, white)
    picture = np.where(kept[..., None], orange if "naive" in title else blue, picture)
    picture[row, column] = 0
    lesson.show(axis, picture, title, frame=True)
    for line in np.arange(size + 1) - 0.5:
        axis.plot([-0.5, size - 0.5], [line, line], color="white", lw=0.6)
        axis.plot([line, line], [-0.5, size - 0.5], color="white", lw=0.6)
axes[3].plot(1000 * naive_seconds, color=lesson.PALETTE[1], label="naive")
axes[3].plot(1000 * seconds, color=lesson.PALETTE[0], label="incremental")
axes[3].set(title="milliseconds per place", xlabel="place, in raster order")
axes[3].set_ylim(0, 1500 * np.median(naive_seconds))
axes[3].legend()
kinds = {"computed again": orange, "kept": blue, "forgotten": grey, "this place": np.zeros(3)}
for name, colour in kinds.items():
    axes[1].plot([], [], "s", color=colour, ms=9, label=name)
axes[1].legend(ncols=4, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.02), frameon=False)
lesson.save(
    drawing,
    options,
    "11_incremental_sampling",
    "What the naive sampler computes again at every step, what the caches of a "
    "convolution and of attention keep, and the milliseconds per place of both samplers.",
)

# %% Figures
ratio = np.median(naive_seconds) / np.median(seconds)  # a pause of the machine does not matter
print(f"{size}x{size} codes: naive {naive_seconds.sum():.2f} s, incremental {seconds.sum():.2f} s")
print(f"a place incrementally: {ratio:.1f} times as fast here, and the gap grows with the map")
lesson.expect(np.array_equal(codes, naive_codes), "both samplers draw the same codes")
lesson.expect(difference < 1e-3, "their logits are the same, up to rounding")
lesson.expect(ratio > 1, "keeping is faster than computing again", "The machine was busy.")
if options.size:
    print(f"a naive place costs {size**2} places' work, so the ratio grows with the map's area, as")
    print("long as the work is more than what Python needs around it")

# %% [markdown]
# Of a convolution's 13 taps, 10 lie in rows above, which are complete when a row starts. The
# library multiplies these for the whole row at once (`vqv2/sampling/incremental.py`): the small
# teeth of the blue curve.
#
# Try: `--size 6` and `--size 20`. By what factor should the ratio differ?
#
# Exercise: e13 (a cache of your own).
