"""Lesson 7: from images to codes, once and for all.

You will learn  what the second stage of training works on, and what single codes look like
Minutes         15 (and about 1 of training if lesson 6 was not run)
Needs           lesson 6

    python examples/07_extracting_codes.py --quick
"""

# %% [markdown]
# When the autoencoder is trained, every image is turned into its codes, once, and the images are
# put away (Algorithm 2, lines 1-7). What remains is to learn which maps of codes occur. That is
# much less than pixels, and it is what makes large images possible.

# %% Extract
import course_run
import lesson
import numpy as np

import vqv2
from vqv2.hierarchy import Hierarchy
from vqv2.models.quantizer import code_usage
from vqv2.run.codes import open_codes

options = lesson.options(__doc__, rename=("no", "yes"))
run = course_run.trained(options, "codes")
hierarchy = Hierarchy.load(run.folder)
store = open_codes(run.codes_folder, hierarchy.identity)
for level in store.levels:
    codes = store.codes("train", level)
    print(f"{level}: {codes.shape} {codes.dtype}, whose rows are read when they are asked for")

# %% They are what the encoder says
training, _ = course_run.images(options.out)
some = np.arange(0, len(training), 10)
images = training.batch(some)
encoded = hierarchy.encode(images)
agree = all(np.array_equal(encoded[n], store.codes("train", n)[some]) for n in store.levels)

# %% Codes belong to one autoencoder
# Code 17 of another training means something else. The store knows who made it, and refuses.
try:
    open_codes(run.codes_folder, identity="0" * 64)  # who made it: a digest of its weights
    refused = False
except vqv2.InputError as error:
    print("refused:", error)
    refused = True

# %% How often each code occurs
# Something that has probability $p$ surprises by $-\log p$, counted in *nats* (with the logarithm
# to base 2: in *bits*). If all 64 codes were used alike, each would surprise by $\log 64 = 4.16$
# nats, or 6 bits. They are not, and the average surprise is less: the *entropy* $-\sum_k p_k \log
# p_k$.
frequencies, nats = {}, {}
for level in store.levels:
    counts = np.bincount(store.codes("train", level)[:].ravel(), minlength=64)
    frequencies[level] = counts / counts.sum()
    occurring = frequencies[level][counts > 0]
    nats[level] = -(occurring * np.log(occurring)).sum()
    perplexity, used = code_usage(store.codes("train", level), 64)
    print(
        f"{level}: {used} codes used, {nats[level]:.2f} nats per code, perplexity {perplexity:.1f}"
    )

# %% What a code looks like
# Average, over all places in all training images that have bottom code k, the 4x4 pixels there.
# For the top it is 8x8 pixels.
pixels = training.batch(np.arange(len(training)))


def mean_patches(level):
    """(64, s, s, 3): the mean image patch at the places of every code; white where unused."""
    codes = store.codes("train", level)[:]
    side = 32 // codes.shape[1]
    n, size = codes.shape[:2]
    patches = pixels.reshape(n, size, side, size, side, 3).transpose(0, 1, 3, 2, 4, 5)
    return np.stack(
        [patches[codes == k].mean(axis=0) if (codes == k).any() else np.ones((side, side, 3))
         for k in range(64)]
    )  # fmt: skip


patches = {level: mean_patches(level) for level in store.levels}

# %% Numbers are names
# Give every code another number, the same new one wherever it occurs. What will change: how often
# the codes of a map occur, how much they surprise, or what the decoder makes of them?
names = np.random.default_rng(0).permutation(64)
renamed = {level: names[level_codes] for level, level_codes in encoded.items()}
decoded = hierarchy.decode(renamed if options.rename == "yes" else encoded)

# %% Draw it
# Left: some images and their maps, each code in the colour of its patch. Right: all codes.
chosen = [0, 5, 20, 25, 31]
drawing = lesson.Figure((13, 7), layout="constrained")
left, right = drawing.subfigures(1, 2, width_ratios=[1, 1.1])
axes = left.subplots(5, 4)
for line, i in zip(axes, chosen, strict=True):
    lesson.show(line[0], images[i])
    for place, level in zip(line[1:3], store.levels, strict=True):
        colours = patches[level].mean(axis=(1, 2))[encoded[level][i]]
        lesson.show(place, colours)
        if level == "top":
            for (row, column), code in np.ndenumerate(encoded[level][i]):
                ink = "white" if colours[row, column].mean() < 0.5 else "black"
                place.text(column, row, code, ha="center", va="center", fontsize=7, color=ink)
    lesson.show(line[3], decoded[i])
for place, name in zip(axes[0], ("image", "top map", "bottom map", "decoded"), strict=True):
    place.set_title(name, fontsize=10)
panels = right.subplots(2, 2, gridspec_kw={"width_ratios": [1, 1.3]})
for line, level in zip(panels, store.levels, strict=True):
    order = np.argsort(-frequencies[level])
    tiles = patches[level][order].reshape(8, 8, *patches[level].shape[1:])
    side = tiles.shape[2]
    board = np.full((8, 8, side + 1, side + 1, 3), 0.75)
    board[:, :, :side, :side] = tiles
    board = board.transpose(0, 2, 1, 3, 4).reshape(8 * (side + 1), 8 * (side + 1), 3)
    lesson.show(line[0], board, f"{level} codes, the most frequent first", frame=True)
    line[1].bar(np.arange(64), frequencies[level][order], color=lesson.PALETTE[0])
    line[1].axhline(1 / 64, color="#888888", ls="--", label="if equally frequent")
    line[1].set(title="frequency", xlabel="code, by rank")
    line[1].legend()
lesson.save(
    drawing,
    options,
    "07_extracting_codes",
    "Left: images, their maps of codes in the colours of what each code stands for, and "
    "the decoded images. Right: the mean patch of every code, and how often each occurs.",
)

# %% Figures
lesson.expect(agree, "the extracted codes are those of the encoder")
lesson.expect(refused, "codes of another autoencoder are refused")
lesson.expect(
    all(0.5 < value < np.log(64) for value in nats.values()),
    "codes surprise less than if all were equally frequent",
)
far = ((decoded - images) ** 2).mean()
lesson.expect(
    far < images.var() / 3,
    "decoded images resemble the images",
    f"Renamed codes decode to noise: the squared error is {far:.3f}, the variance of the images "
    f"{images.var():.3f}. Their frequencies and nats are the same as before, since surprise does "
    "not ask what a number stands for: codes are names, and what they mean is in the codebook.",
)

# %% [markdown]
# The nats above are the price of a guess that knows only frequencies. A *prior* looks at the codes
# before, too, and pays less: lessons 8 to 10.
#
# Try: `--rename yes`. Which figures change, and which do not?
#
# Exercise: e09 (surprise, in nats).
