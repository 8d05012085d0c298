"""Lesson 6: two levels of codes.

You will learn  why a hierarchy has a coarse map and a fine one, and what each of them says
Minutes         20 (and about 1 of training; without --quick about 2)
Needs           lesson 5

    python examples/06_two_levels.py --quick
"""

# %% [markdown]
# A picture has a shape as a whole and details in every place. VQ-VAE-2 gives each its own map of
# codes: the *top* map is coarse and says what is global, the *bottom* map is finer and adds what
# is local. When the encoder makes the bottom, it knows the top already. So the bottom need not
# repeat what the top says (Algorithm 1). Follow the arrows:
#
# ![The two-level autoencoder: which part is told what](../docs/diagrams/hierarchy.svg)

# %% The model
# `Autoencoder` builds any number of levels from a configuration. Ours makes of 32x32 pixels a top
# map of 4x4 codes and a bottom map of 8x8 codes, out of 64 codes each. With other sizes the same
# class is the paper's model: 32x32 and 64x64 codes for 256x256 pixels (Table 3).
import course_run
import lesson
import numpy as np

from vqv2.hierarchy import Hierarchy

options = lesson.options(__doc__, dropout=(0.15, 0, 0.9))
config = course_run.configuration(options.quick, options.dropout).autoencoder
print(f"levels {config.levels} of sizes {config.latent_sizes}, {config.codebook_size} codes each")

# %% Train it
# `course_run.trained` trains what is missing in the folder --out, by the same functions that the
# command `vqv2 train` uses. Later lessons find it there. The loss is equation 2: the squared error
# of the pixels, plus $\beta = 0.25$ times the commitment of lesson 5, summed over the levels. Here
# $\mathrm{sg}[\cdot]$ passes no gradient:
#
# $$\lVert x - D(e) \rVert^2 + \beta \, \lVert \mathrm{sg}[e] - E(x) \rVert^2.$$
run = course_run.trained(options, "autoencoder", options.dropout)
hierarchy = Hierarchy.load(run.folder)

# %% Encode, and decode from some of the levels
# The decoder always reads both maps. To see what the top alone says, the bottom map is replaced by
# its average code vector everywhere.
_, held_out = course_run.images(options.out)
images = held_out.batch(np.arange(len(held_out)))
codes = hierarchy.encode(images)
for level, level_codes in codes.items():
    print(level, level_codes.shape, level_codes.dtype)
top_only = hierarchy.decode(codes, levels=["top"])
both = hierarchy.decode(codes)

# %% Swap
# Does the top carry the global shape? Give image A the top of image B and look.
order = np.roll(np.arange(len(images)), 7)
mixed = hierarchy.decode({"top": codes["top"][order], "bottom": codes["bottom"]})

# %% How much it costs
# A code out of 64 takes 6 bits. The pixels take 8 bits for each of three colours.
pixel_bits = 32 * 32 * 3 * 8
code_bits = {level: c[0].size * np.log2(64) for level, c in codes.items()}
smaller = pixel_bits / sum(code_bits.values())

# %% Draw it
chosen = np.arange(0, len(images), 3)[:9]
rows = {
    "original": images[chosen],
    "top + bottom": both[chosen],
    "top only": top_only[chosen],
    "bottom of this,\ntop of another": mixed[chosen],
    "(that other)": images[order][chosen],
}
drawing, axes = lesson.figure(11, 6.2, len(rows), len(chosen))
for line, (name, row) in zip(axes, rows.items(), strict=True):
    for place, picture in zip(line, row, strict=True):
        lesson.show(place, picture)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
lesson.save(
    drawing,
    options,
    "06_two_levels",
    "Rows: held-out images; decoded from both levels; from the top alone; and from the "
    "bottom of this image with the top of another, which is shown in the last row.",
)

# %% Figures
error = {name: ((row - images) ** 2).mean() for name, row in (("top", top_only), ("both", both))}
print(f"squared error: top only {error['top']:.4f}, both {error['both']:.4f}")
print(f"bits: pixels {pixel_bits}, top {code_bits['top']:.0f}, bottom {code_bits['bottom']:.0f}")
print(f"the codes are {smaller:.0f} times smaller than the pixels")
lesson.expect(smaller > 50, "the codes are more than 50 times smaller than the pixels")
lesson.expect(
    error["both"] < error["top"] < images.var(),
    "the top alone is better than nothing, and both are better than the top alone",
    "Nothing asked the decoder to make sense of the top alone, and so the top became a code that "
    "only the bottom can complete.",
)
if options.dropout != 0.15:
    print(f"the top alone is {error['top'] / error['both']:.1f} times as far off as both levels;")
    print("the less often the decoder has to do without the bottom, the larger that is")

# %% [markdown]
# Why does the top not do everything, or nothing? Nothing in equation 2 says what the top should
# hold. In the library `level_dropout` lets the decoder work without the bottom now and then, here
# for 15 of 100 images. That makes the top worth reading.
#
# Try: `--dropout 0`, which trains another autoencoder. What will "top only" look like?
#
# Exercise: e08 (two levels of codes in NumPy).
