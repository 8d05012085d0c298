"""Lesson 4: a first autoencoder.

You will learn  to build a model from layers, to train it, and to judge it on images it never saw
Minutes         20
Needs           lessons 1 to 3

    python examples/04_a_first_autoencoder.py --quick
"""

# %% [markdown]
# An *autoencoder* squeezes an image into few numbers (the encoder) and makes an image of them
# again (the decoder). We train it to give back what it was given. The few numbers must then say
# what matters about the image. Nothing is discrete yet; that comes in lesson 5.

# %% Images
# Flags and faces of the [OpenMoji](https://openmoji.org) set, 32x32 pixels. A twentieth of them is
# *held out*: we never train on these, and so they are a fair test.
import course_run
import lesson
import numpy as np

import vqv2.functional as F
from vqv2 import Tensor, nn
from vqv2.autodiff import no_grad
from vqv2.optim import Adam

options = lesson.options(__doc__, channels=(4, 1, 256))
steps = 250 if options.quick else 2000
training, held_out = course_run.images(options.out)
print(f"{len(training)} images to train on, {len(held_out)} held out")


# %% The model
# A `Module` is a plain object. Its layers own their parameters, which start as small random
# numbers from the generator `rng`. ReLU, $\max(x, 0)$, stands between the layers: without
# something that is not linear, two convolutions would be no more than one.
#
# `narrow` is a `Linear` layer: the same matrix product at every place of the map, 32 numbers to
# `channels`. That is a convolution with a window of one place, a *1x1 convolution*.
class FirstAutoencoder(nn.Module):
    """32x32x3 -> 8x8x`channels` -> 32x32x3."""

    def __init__(self, channels, rng):
        self.down1 = nn.Conv2d(3, 16, 4, rng, stride=2)
        self.down2 = nn.Conv2d(16, 32, 4, rng, stride=2)
        self.narrow = nn.Linear(32, channels, rng)
        self.widen = nn.Conv2d(channels, 32, 3, rng)
        self.up1 = nn.ConvTranspose2d(32, 16, 4, rng, stride=2)
        self.up2 = nn.ConvTranspose2d(16, 3, 4, rng, stride=2)

    def encode(self, images):
        """(N, 32, 32, 3) -> (N, 8, 8, channels)."""
        h = F.relu(self.down1(Tensor(images - np.float32(0.5))))
        return self.narrow(F.relu(self.down2(h)))

    def decode(self, h):
        """(N, 8, 8, channels) -> (N, 32, 32, 3)."""
        h = F.relu(self.up1(F.relu(self.widen(h))))
        return self.up2(h) + np.float32(0.5)


model = FirstAutoencoder(options.channels, np.random.default_rng(0))
for name, parameter in list(model.parameters().items())[:3]:
    print(name, parameter.shape)
numbers = 8 * 8 * options.channels
print(f"{model.parameter_count():,} parameters; {32 * 32 * 3} numbers become {numbers}")


# %% Training
# Each step takes 32 images, computes loss and gradient, and lets
# [Adam](https://arxiv.org/abs/1412.6980) move every parameter. For each parameter Adam keeps a
# moving average of its gradient $g$, and one of $g^2$. It moves the parameter by
#
# $$\mathrm{rate} \cdot \frac{\mathrm{average}(g)}{\sqrt{\mathrm{average}(g^2)} + 10^{-8}},$$
#
# so that all move by about the learning rate, whatever the scale of their gradients. (Exercise e04
# has the details.) This one also keeps an average of the parameters over the last steps. It is
# smoother than the latest parameters, and we judge with it.
def mean_squared_error(images):
    """The loss: a tensor holding the mean over pixels of (output - input)^2."""
    return F.mean_squared_error(model.decode(model.encode(images)), images)


adam = Adam(model.parameters(), polyak_decay=0.98)
rng = np.random.default_rng(1)
shown = held_out.batch(np.linspace(0, len(held_out) - 1, 8).astype(int))
losses, snapshots = [], {}
for step in range(steps + 1):
    if step in (0, 20, 80, steps):
        with no_grad():  # nothing is recorded: we only look
            snapshots[step] = model.decode(model.encode(shown)).array.clip(0, 1)
    loss = mean_squared_error(training.batch(rng.integers(len(training), size=32)))
    loss.backward()
    adam.step(learning_rate=3e-3)
    losses.append(loss.item())

# %% Held-out images
# Judge with the averaged parameters, on images it never saw. To know whether the error is small,
# compare it with a guess that knows nothing of the image: the mean of all training images.
everything = held_out.batch(np.arange(len(held_out)))
with no_grad(), adam.averaged():
    error = mean_squared_error(everything).item()
mean_image = training.batch(np.arange(len(training))).mean(axis=0)
baseline = ((everything - mean_image) ** 2).mean()

# %% New images?
# Could you make *new* images with this? Give the decoder random numbers, drawn around the mean of
# the encoder's outputs and as widely spread, and look at the last row of the picture. The decoder
# only knows what the encoder produces, and random numbers hardly ever look like that.
with no_grad(), adam.averaged():
    h = model.encode(shown).array
    noise = np.random.default_rng(2).standard_normal(h.shape).astype(np.float32)
    dreams = model.decode(Tensor(h.mean() + h.std() * noise)).array.clip(0, 1)

# %% Draw it
drawing, axes = lesson.figure(11, 7, 6, 9, gridspec_kw={"width_ratios": [1] * 8 + [6]})
rows = [*((f"step {step}", row) for step, row in snapshots.items()), ("original", shown)]
rows += [("of random\nnumbers", dreams)]
for line, (name, row) in zip(axes, rows, strict=True):
    for place, picture in zip(line, row, strict=False):
        lesson.show(place, picture)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
for place in axes[:, 8]:
    place.remove()
curve = drawing.add_subplot(axes[0, 8].get_gridspec()[:, 8])
curve.semilogy(losses, color=lesson.PALETTE[0], lw=1, label="training batches")
curve.axhline(baseline, color="#888888", ls="--", label="mean image, held out")
curve.axhline(error, color=lesson.PALETTE[1], ls="--", label="this model, held out")
curve.set(xlabel="step", title="mean squared error")
curve.legend(fontsize=9)
lesson.save(
    drawing,
    options,
    "04_a_first_autoencoder",
    "Rows: held-out images as decoded before training, after some steps and at the end; "
    "the originals; and what the decoder makes of random numbers. Right: the error falls "
    "during training.",
)

# %% Figures
print(f"held-out mean squared error {error:.4f}; of the mean image {baseline:.4f}")
print(f"in decibels, as papers give it: PSNR = -10 log10(error) = {-10 * np.log10(error):.1f} dB")
lesson.expect(
    error < baseline / 3,
    "the error is less than a third of the mean image's",
    f"{numbers} numbers for an image are too few, or training was too short for them.",
)
if options.channels != 4:
    kept = numbers / (32 * 32 * 3)
    print(f"{options.channels} channels keep {kept:.1%} as many numbers as the image has. Fewer")
    print("blur what is fine, more copy it; the decoder's dreams get worse with more, since a")
    print("smaller share of all possible numbers is ever produced by the encoder.")

# %% [markdown]
# Try: `--channels 2` and `--channels 16`. Which of the two gives better copies, and which better
# dreams in the last row?
#
# To draw new images we need to learn which numbers occur. That is easier when there are finitely
# many: lesson 5.
#
# Exercise: e04 (Adam, and the paper's learning rate).
