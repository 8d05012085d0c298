"""Lesson 3: a convolution is a matrix product.

You will learn  what a convolution computes, why it is fast, and what its gradient is
Minutes         25
Needs           lessons 1 and 2, matrix products

    python examples/03_convolution_as_a_matrix_product.py --quick
"""

# %% [markdown]
# A convolution slides a small window over an image. At every place it multiplies what the window
# covers, a *patch*, by weights and adds up. With D sets of weights there are D results per place.
# Images are arrays (N, H, W, C): how many, rows, columns, channels.

# %% A real image
import time

import lesson
import numpy as np

import vqv2.functional as F
from vqv2 import Tensor
from vqv2.data import images

options = lesson.options(__doc__, spread=(3.0, 0.1, 100))
emoji = images.open_images("emoji:64", 64)
animals = np.flatnonzero(emoji.labels == emoji.class_names.index("animals"))
image = emoji.batch(animals[55:56]).astype(np.float64)
print("image", image.shape)

# %% Patches
# A 3x3 window on 3 channels covers 27 numbers. Put the patches of all places under one another:
# a matrix with a row per place and 27 columns. (One row and column of zeros around the image, the
# *padding*, makes the output as large as the image.)
padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(64 * 64, 27)
print("patches", patches.shape)

# %% Weights
# Four sets of weights (kernel rows, kernel columns, C, D), chosen by hand: three respond to
# horizontal edges, to vertical edges and to spots, and one blurs.
rows = np.outer([-1, 0, 1], [1, 2, 1]) / 12
spots = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 12
blur = np.outer(*2 * [np.exp(-0.5 * (np.arange(-1, 2) / options.spread) ** 2)])
blur /= 3 * blur.sum()
filters = np.stack([rows, rows.T, spots, blur], axis=-1)
weights = np.repeat(filters[:, :, None, :], 3, axis=2)

# %% The product
# (4096, 27) @ (27, 4): all places and all filters at once. A matrix product is what processors do
# best. So this is how the library computes it, a few rows of the image at a time, so that the
# patches stay in the cache (`backends/numba/conv.py`).
product = (patches @ weights.reshape(27, 4)).reshape(1, 64, 64, 4)
library = F.conv2d(image, weights, padding=1).array
print(f"largest difference from the library: {np.abs(product - library).max():.1e}")


# %% Why that is fast
# The same multiplications, done in four ways: loops over places, filters and numbers, as the
# definition says (timed on one row of the image, times 64); one place at a time; all at once; the
# library.
def loops(row):
    """One row of the output, one multiplication at a time."""
    flat = weights.reshape(27, 4)
    for i in range(row * 64, row * 64 + 64):
        for d in range(4):
            total = 0.0
            for j in range(27):
                total += patches[i, j] * flat[j, d]


def milliseconds(function):
    """The best of three."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds)


speeds = {
    "loops": 64 * milliseconds(lambda: loops(30)),
    "a place at a time": milliseconds(lambda: [row @ weights.reshape(27, 4) for row in patches]),
    "one product, of patches that are there": milliseconds(
        lambda: patches @ weights.reshape(27, 4)
    ),
    "the library, patches included": milliseconds(lambda: F.conv2d(image, weights, padding=1)),
}
for name, value in speeds.items():
    print(f"{name:40} {value:8.2f} ms")

# %% The gradient
# The output is linear in the patches and linear in the weights. For $Y = P W$ the rules are
#
# $$dP = dY \, W^\top, \qquad dW = P^\top \, dY.$$
#
# A pixel lies in up to nine patches, and it receives the sum of what these say about it.
rng = np.random.default_rng(0)
cotangent = rng.standard_normal(library.shape)
d_weights = (patches.T @ cotangent.reshape(-1, 4)).reshape(3, 3, 3, 4)
d_patches = (cotangent.reshape(-1, 4) @ weights.reshape(27, 4).T).reshape(64, 64, 3, 3, 3)
d_padded = np.zeros_like(padded[0])
for a in range(3):
    for b in range(3):
        d_padded[a : a + 64, b : b + 64] += d_patches[:, :, a, b]
d_image = d_padded[1:-1, 1:-1]

x, w = Tensor(image, requires_grad=True), Tensor(weights, requires_grad=True)
F.conv2d(x, w, padding=1).backward(cotangent)
weights_error = np.abs(w.grad - d_weights).max()
image_error = np.abs(x.grad[0] - d_image).max()
print(f"gradients differ by {weights_error:.1e} (weights) and {image_error:.1e} (image)")

# %% Smaller, and larger again
# With *stride* 2 the window moves two pixels at a time: half the rows, half the columns. That is
# how the encoder shrinks an image. Here every output is the mean of a 4x4 window.
mean = np.zeros((4, 4, 3, 3))
mean[:, :, range(3), range(3)] = 1 / 16
small = F.conv2d(image, mean, stride=2, padding=1).array

# %%
# The decoder enlarges with a *transposed* convolution: the same linear map the other way round,
# which you have just used for d_image. "Transposed" means $\langle \mathrm{conv}(x), y \rangle =
# \langle x, \mathrm{transposed}(y) \rangle$ for all $x$ and $y$.
large = 4 * F.conv_transpose2d(small, mean, stride=2, padding=1).array
y = rng.standard_normal(small.shape)
left = (small * y).sum()
right = (image * F.conv_transpose2d(y, mean, stride=2, padding=1).array).sum()
print(f"{image.shape} -> {small.shape} -> {large.shape}")
print(f"<conv(x), y> = {left:.9f}, <x, transposed(y)> = {right:.9f}")

# %% Draw it
drawing, axes = lesson.figure(12, 5.6, 2, 5)
lesson.show(axes[0, 0], image[0], "the image")
for d, name in enumerate(("horizontal edges", "vertical edges", "spots", "blur")):
    response = library[0, :, :, d]
    if name == "blur":
        lesson.show(axes[0, d + 1], response, name, cmap="Greys_r", vmin=0, vmax=1)
        continue
    limit = np.abs(response).max()
    shown = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    lesson.show(axes[0, d + 1], response, f"{name}: red +, blue −", **shown)
row = 34
line = slice(row * 64 + 12, row * 64 + 52)
lesson.show(axes[1, 0], image[0].copy(), f"row {row}: 40 places")
axes[1, 0].plot([11.5, 51.5, 51.5, 11.5, 11.5], row + np.array([-1.5, -1.5, 1.5, 1.5, -1.5]))
parts = {
    "their patches P (40 x 27)": patches[line],
    "weights W (27 x 4)": weights.reshape(27, 4),
    "outputs P W (40 x 4)": product.reshape(-1, 4)[line],
}
for place, (name, matrix) in zip(axes[1, 1:4], parts.items(), strict=True):
    limit = np.abs(matrix).max()
    place.imshow(matrix, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    place.set_title(name, fontsize=10)
    lesson.hide_ticks(place)
pair = np.ones((64, 100, 3))
pair[16:48, :32], pair[:, 36:] = small[0], large[0].clip(0, 1)
lesson.show(axes[1, 4], pair, "stride 2, and transposed back")
lesson.save(
    drawing,
    options,
    "03_convolution_as_a_matrix_product",
    "Above: an emoji and what four filters make of it. Below: the patches of one row, "
    "times the weights, are the outputs; and the image made smaller with stride 2, then "
    "larger again.",
)

# %% Figures
multiplications = patches.size * 4
dense = image.size * library.size
print(f"{multiplications:,} multiplications for one 3x3 convolution to 4 channels;")
print(f"{dense:,} for a layer that connects every input with every output")
lesson.expect(np.allclose(product, library, atol=1e-12), "the product is the convolution")
lesson.expect(weights_error < 1e-9 and image_error < 1e-9, "the gradients are the library's")
lesson.expect(abs(left - right) < 1e-9, "<conv(x), y> = <x, transposed(y)>")
lesson.expect(
    library[0, :, :, 3].std() < image.mean(axis=-1).std(),
    "what is blurred varies less than the image",
)
steepest = np.abs(np.diff(library[0, :, :, 3], axis=1)).max()
print(f"the steepest edge of the blurred image is {steepest:.3f} per pixel")
if options.spread < 1:
    print("A narrow bell keeps the edges: almost all weight is on the centre, a copy of the image.")

# %% [markdown]
# Small windows have a trick that saves multiplications, too: [Winograd's
# algorithm](https://arxiv.org/abs/1509.09308), which the library uses where it pays
# (`backends/numba/engine/winograd.py`).
#
# Try: `--spread 0.3`. The blur's weights are a bell of this width, in pixels. What remains of it,
# and how steep do edges stay?
#
# Exercise: e03 (the gradient of a convolution, by loops and by matrix products).
