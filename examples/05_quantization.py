"""Lesson 5: quantisation, straight-through, and a codebook that does not collapse.

You will learn  how vectors become codes, how a gradient gets past that, and what keeps codes alive
Minutes         30
Needs           lesson 4

    python examples/05_quantization.py --quick
"""

# %% [markdown]
# A *codebook* is a list of K vectors. To *quantise* a vector is to replace it by the nearest of
# them. A map of vectors then becomes a map of whole numbers, the *codes* (equation 1 of the
# paper):
#
# $$\mathrm{Quantize}(h) = e_k, \qquad k = \arg\min_j \lVert h - e_j \rVert.$$
#
# Later we can learn probabilities of numbers from 0 to K-1. If you know *k-means*, you know most
# of this: the codebook holds its centres, here for data that come in batches and move. The idea of
# codes inside an autoencoder is that of the [VQ-VAE](https://arxiv.org/abs/1711.00937).

# %% Nearest codes
import course_run
import lesson
import numpy as np

from vqv2 import Tensor
from vqv2.autodiff import no_grad
from vqv2.config import AutoencoderConfig
from vqv2.models.autoencoder import Autoencoder
from vqv2.models.quantizer import Quantizer
from vqv2.training import AutoencoderTask
from vqv2.training.draws import step_generator

options = lesson.options(__doc__, start=("far", "outputs"))
rng = np.random.default_rng(0)
# 600 points in the plane, in five clusters.
clusters = rng.uniform(-2, 2, (5, 2))
points = clusters[rng.integers(5, size=600)] + 0.35 * rng.standard_normal((600, 2))
points = points.astype(np.float32)
quantizer = Quantizer(size=12, dimension=2, decay=0.9, restart_after=10)
_, codes, _ = quantizer(Tensor(points), rng)  # the first call chooses 12 of the points as codebook
print(f"the first point {points[0]} has code {codes[0]}, {quantizer.decode(codes[0])}")

# %% Straight through
# Quantising is a staircase: its slope is zero almost everywhere, so no gradient would reach the
# encoder. The [straight-through estimator](https://arxiv.org/abs/1308.3432) pretends, in the
# backward pass only, that the vector was copied: the cotangent of the code vector becomes the
# cotangent of the encoder output. This is not the true gradient, which is zero, but it says where
# the code vector should go. The nearer output and code vector are, the better it is.
h = Tensor(points[:4], requires_grad=True)
quantized, _, _ = quantizer(h)
cotangent = rng.standard_normal((4, 2)).astype(np.float32)
quantized.backward(cotangent)
print("forward, the output moved by", np.abs(quantized.array - h.array).max().round(3))
print("backward, the cotangent changed by", np.abs(h.grad - cotangent).max())

# %% The codebook moves to its points
# For that to be fair, encoder outputs must lie near their codes. The *commitment* loss pulls the
# outputs to the codes (equation 2). Equation 3 moves each code to the mean of the outputs that
# chose it: the second half of k-means. For each code it keeps moving averages, with decay
# $\gamma$, of two things: how many outputs chose it, $n$, and their sum, $s$, in this step:
#
# $$N \leftarrow \gamma N + (1 - \gamma)\, n, \qquad
# m \leftarrow \gamma m + (1 - \gamma)\, s, \qquad e = m / N.$$
#
# "EMA" is short for exponential moving average.
before = quantizer.codebook.copy()
for _ in range(40):
    quantizer(Tensor(points), rng)
after = quantizer.codebook.copy()


# %% Collapse
# Now inside an autoencoder. A code that no output chooses is never moved. So it comes no nearer,
# and no output will ever choose it. To see this happen, start the codebook at random numbers, far
# from what the encoder produces, and train in three ways:
#
# 1. The codebook is a parameter, trained by the gradient of $\lVert E(x) - e \rVert^2$ with $E(x)$
#    held constant.
# 2. Equation 3.
# 3. Equation 3, and a code that was unused for 15 steps restarts at one of the latest encoder
#    outputs.
#
# *Perplexity* says how many codes are in use: 64 if all are equally frequent, 1 if only one is.
ways = {
    "gradient": {"codebook_update": "loss", "restart_after": 0},
    "equation 3": {"restart_after": 0},
    "equation 3 + restarts": {"restart_after": 15},
}
training, held_out = course_run.images(options.out)
steps = 250 if options.quick else 1000
shown = held_out.batch(np.arange(len(held_out)))


def train(**how):
    """One-level autoencoder: (perplexity of every step, trained task).

    `decay_learning_rate`, `polyak_decay` and the like are explained in `vqv2/config.py`.
    """
    config = AutoencoderConfig(
        image_size=32,
        latent_sizes=(8,),
        hidden_units=32,
        residual_units=16,
        layers=1,
        codebook_size=64,
        codebook_dimension=16,
        batch=16,
        learning_rate=3e-3,
        polyak_decay=0.95,
        augmentation="none",
        **how,
    )
    task = AutoencoderTask(
        Autoencoder(config, np.random.default_rng(0)), training, held_out, seed=0
    )
    if options.start == "far":
        quantizer = task.model.quantizers[0]
        quantizer.vectors[...] = np.random.default_rng(3).standard_normal((64, 16))
        quantizer.started[...] = 1  # or it would start at encoder outputs
    perplexities = []
    for step in range(1, steps + 1):
        loss, metrics = task.loss(task.batch(step), step_generator(0, step))
        loss.backward()
        task.optimizer.step(config.learning_rate)
        perplexities.append(metrics()["perplexity_top"])
    return perplexities, task


runs = {name: train(**how) for name, how in ways.items()}


# %% Draw it
# The encoder's outputs have 16 numbers each: draw them in the two directions in which they spread
# most (their first two principal components).
def outputs_and_codes(task):
    """(encoder outputs (M, 2), all codes (64, 2), used codes (U, 2), decoded images)."""
    with no_grad(), task.optimizer.averaged():
        model = task.model
        x = Tensor(shown - np.float32(0.5))
        h = model.projections[0](model.encoders[0](x)).array.reshape(-1, 16)
        pictures = model.decode(model.encode(shown[::6]))
    vectors = model.quantizers[0].vectors
    used = np.unique(model.quantizers[0].encode(h))
    mean = h.mean(axis=0)
    axes = np.linalg.svd(h - mean, full_matrices=False)[2][:2].T
    return (h - mean) @ axes, (vectors - mean) @ axes, (vectors[used] - mean) @ axes, pictures


drawing = lesson.Figure((14, 8), layout="constrained")
upper, lower = drawing.subfigures(2, 1, height_ratios=[1.15, 1])
cells, stairs, curves = upper.subplots(1, 3)
ground = np.stack(np.meshgrid(np.linspace(-3, 3, 300), np.linspace(-3, 3, 300)), axis=-1)
regions = quantizer.encode(ground.reshape(-1, 2).astype(np.float32)).reshape(300, 300)
cells.imshow(regions, extent=(-3, 3, -3, 3), origin="lower", cmap="tab20", alpha=0.35)
cells.plot(*points.T, ".", color="#666666", ms=3)
for start, end in zip(before, after, strict=True):
    cells.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.5})
cells.plot(*after.T, "o", color="black", ms=6)
cells.set(title="A region's points get the same code;\na code moves to the mean of its points")
lesson.hide_ticks(cells)
levels, outputs = np.array([-1.6, -0.5, 0.4, 1.7]), np.linspace(-2.5, 2.5, 500)
nearest = levels[np.abs(outputs[:, None] - levels).argmin(axis=1)]
stairs.plot(outputs, outputs, "--", color="#888888", label="backward, as if copied: slope 1")
stairs.plot(outputs, nearest, color=lesson.PALETTE[0], lw=2, label="forward: the nearest code")
moved = {"arrowstyle": "->", "color": lesson.PALETTE[1], "lw": 1.8}
for output in (-2.2, -1.0, 0.1, 1.2):
    code = levels[np.abs(output - levels).argmin()]
    for place in (code, output):
        stairs.annotate("", (output + 0.45, place + 0.45), (output, place), arrowprops=moved)
    stairs.plot([output, output], [output, code], ":", color=lesson.PALETTE[1])
stairs.plot([], [], color=lesson.PALETTE[1], label="the cotangent, moved along")
stairs.set(title="Straight through, in one dimension", xlabel="encoder output")
stairs.set(ylabel="what the decoder reads")
stairs.legend(fontsize=8)
for ink, (name, (perplexities, _)) in zip(lesson.PALETTE, runs.items(), strict=False):
    curves.plot(perplexities, color=ink, label=name)
curves.set(title=f"Codes in use, of 64; start: {options.start}", xlabel="step", ylabel="perplexity")
curves.legend(loc="lower right", bbox_to_anchor=(1, 0.14))

used_counts = {}
panels = lower.subplots(1, 6, gridspec_kw={"width_ratios": [1.5, 1] * 3})
for i, (ink, (name, (_, task))) in enumerate(zip(lesson.PALETTE, runs.items(), strict=False)):
    h, vectors, used, pictures = outputs_and_codes(task)
    used_counts[name] = len(used)
    scatter, strip = panels[2 * i : 2 * i + 2]
    scatter.plot(*h.T, ".", color="#BBBBBB", ms=2)
    scatter.plot(*vectors.T, "x", color="#888888", ms=5)
    scatter.plot(*used.T, "o", color=ink, ms=5)
    scatter.set_title(f"{name}: {len(used)} of 64 used", fontsize=10)
    lesson.hide_ticks(scatter)
    both = np.concatenate([shown[::6], pictures], axis=2)
    lesson.show(strip, both.reshape(-1, 64, 3), "original, decoded")
    if i == 0:
        scatter.plot([], [], ".", color="#BBBBBB", label="encoder outputs")
        scatter.plot([], [], "x", color="#888888", label="codes not used")
        scatter.plot([], [], "o", color=ink, label="codes used")
        scatter.legend(fontsize=8)
lesson.save(
    drawing,
    options,
    "05_quantization",
    "Above: codes move to the mean of their points; quantising is a staircase, and the "
    "gradient goes straight through; how many codes are in use. Below, for each way to "
    "train: which codes are used, and held-out images decoded from them.",
)

# %% Figures
errors = {name: task.validate()["reconstruction"] for name, (_, task) in runs.items()}
for name, error in errors.items():
    print(f"{name:24} {used_counts[name]:2} codes used, held-out squared error {error:.4f}")
reason = (
    "The codebook started at encoder outputs, in the middle of what it is to quantise. Most codes "
    "have somebody near from the first step on, so that even the gradient keeps many of them. The "
    "library starts so, and restarts what is lost later."
)
lesson.expect(used_counts["equation 3 + restarts"] >= 40, "restarts keep most codes in use")
lesson.expect(
    used_counts["gradient"] <= 10 and used_counts["equation 3"] <= 20,
    "without restarts few codes are ever used",
    reason,
)
lesson.expect(
    errors["equation 3 + restarts"] < errors["gradient"],
    "images decoded from more codes are better",
    "With about as many codes in use, the three ways do about as well.",
)

# %% [markdown]
# The library does a fourth thing: the first batch's outputs are the first codebook. See
# `vqv2/models/quantizer.py`; F.straight_through is `vqv2/functional/arithmetic.py`.
#
# Try: `--start outputs`, to leave that in place. Does way 1 still collapse?
#
# Exercises: e05 (straight-through), e06 (nearest codes), e07 (equation 3).
