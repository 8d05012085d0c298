"""Random changes to training images (supplement, section A.1).

What A.1 says: ImageNet has random crops and flips; FFHQ is in addition perturbed in brightness
(maximum delta 0.08), hue (maximum delta 0.02), saturation and contrast (plus or minus 10 %), and
has, with probability 0.5, Gaussian noise of standard deviation 0.02 added to the whole image.

What is decided here, because A.1 leaves it open: every amount is drawn uniformly, for each image
on its own; the four colour changes mean what TensorFlow's functions of the same names do, as that
is what the paper was written with; hue and saturation come first, while the image is still in
range, so that one clip to [0, 1] at the end is enough; FFHQ, whose faces are aligned, is flipped
but not cropped.
"""

from dataclasses import dataclass

import numpy as np

from vqv2.errors import InputError

_LARGEST = {
    "brightness": 1.0,
    "hue": 0.5,
    "saturation": 1.0,
    "contrast": 1.0,
    "noise_probability": 1.0,
    "noise_deviation": 1.0,
}


@dataclass(frozen=True)
class Augmentation:
    """What may be changed about a training image, and by how much.

    random_crop        crop where chance says, not from the centre; it happens while an image is
                       read (`vqv2.data.crop`), because that is when there is something to cut off
    horizontal_flip    mirror left and right with probability 0.5
    brightness         largest amount b added to every pixel: uniform in [-b, b]
    hue                largest rotation of the hue, as a part of a full turn: uniform in [-h, h]
    saturation         the HSV saturation is multiplied by a factor uniform in [1 - s, 1 + s]
    contrast           the distance to each channel's mean is multiplied by one in [1 - c, 1 + c]
    noise_probability  how often an image has noise added to it
    noise_deviation    the standard deviation of that noise, drawn for every pixel and channel

    Raises `InputError` when an amount is negative or too large to mean anything.
    """

    random_crop: bool = False
    horizontal_flip: bool = False
    brightness: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    contrast: float = 0.0
    noise_probability: float = 0.0
    noise_deviation: float = 0.0

    def __post_init__(self):
        for field, largest in _LARGEST.items():
            amount = getattr(self, field)
            if not 0 <= amount <= largest:
                raise InputError(
                    f"augmentation '{field}' is {amount}: give a number from 0 to {largest:g}"
                )


NONE = Augmentation()
IMAGENET = Augmentation(random_crop=True, horizontal_flip=True)
FFHQ = Augmentation(
    horizontal_flip=True,
    brightness=0.08,
    hue=0.02,
    saturation=0.1,
    contrast=0.1,
    noise_probability=0.5,
    noise_deviation=0.02,
)


def augment(images, augmentation, rng, share=slice(None), count=None):
    """Return changed copies of `images`, float32 (N, H, W, C) in [0, 1]; each has its own draws.

    `rng` is a `numpy.random.Generator`; it may be None when `augmentation` leaves nothing to
    chance. Greyscale images (C = 1) have no hue and no saturation, so these two leave them alone.
    The images may be the `share` of a batch of `count`: they are changed as they would be in it.
    Crops are not made here: see `Augmentation.random_crop`.
    """
    images = np.array(images, dtype=np.float32)
    draws = _Draws(rng, count or len(images), share)
    if augmentation.horizontal_flip:
        _flip(images, draws)
    if images.shape[-1] == 3 and (augmentation.hue or augmentation.saturation):
        _recolour(images, augmentation, draws)
    if augmentation.brightness:
        images += draws.uniform(-augmentation.brightness, augmentation.brightness)
    if augmentation.contrast:
        _stretch_contrast(images, augmentation.contrast, draws)
    if augmentation.noise_probability and augmentation.noise_deviation:
        _add_noise(images, augmentation, draws)
    return np.clip(images, 0.0, 1.0, out=images)


class _Draws:
    """What chance says about every image of a batch, of which those of a share are kept."""

    def __init__(self, rng, count, share):
        self._rng = rng
        self._count = count
        self._share = share

    def uniform(self, low, high):
        """One number for each image, of a shape (N, 1, 1, 1) that broadcasts over it."""
        numbers = self._rng.uniform(low, high, (self._count, 1, 1, 1))
        return numbers.astype(np.float32)[self._share]

    def chosen(self, probability):
        """Whether something happens to an image, (N,) bool."""
        return self._rng.random(self._count)[self._share] < probability

    def generators(self):
        """A generator for each image, for what takes many numbers."""
        seeds = self._rng.integers(2**63, size=self._count)[self._share]
        return map(np.random.default_rng, seeds)


def _flip(images, draws):
    chosen = draws.chosen(0.5)
    images[chosen] = images[chosen, :, ::-1]


def _recolour(images, augmentation, draws):
    turns = draws.uniform(-augmentation.hue, augmentation.hue)
    factors = draws.uniform(1 - augmentation.saturation, 1 + augmentation.saturation)
    # Image by image: the many intermediate values of one image fit a processor's cache.
    for image, turn, factor in zip(images, turns.flat, factors.flat, strict=True):
        image[...] = shift_colours(image, turn, factor)


def shift_colours(image, turn, factor):
    """Rotate the hue of float32 (..., 3) RGB in [0, 1] by `turn`, multiply its saturation.

    `turn` is a part of a full turn (1/3 takes red to green); `factor` times the HSV saturation is
    kept at 1 at most, so the result is in [0, 1] too. The value, max(R, G, B), does not change.
    """
    hue, chroma, value = _hue_chroma_value(image)
    hue += 6 * turn
    chroma = np.minimum(chroma * factor, value)
    # Each channel falls short of the value by the chroma times a trapezium wave of the hue.
    position = np.mod(hue[..., None] + np.array([5, 3, 1], np.float32), 6)
    wave = np.clip(np.minimum(position, 4 - position), 0, 1)
    return value[..., None] - chroma[..., None] * wave


def _hue_chroma_value(image):
    """The hue in [-1, 5) (sixths of a turn), the chroma (max - min) and the value (max)."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    scale = 1 / np.where(chroma == 0, np.float32(1), chroma)
    hue = np.where(value == green, 2 + (blue - red) * scale, 4 + (red - green) * scale)
    hue = np.where(value == red, (green - blue) * scale, hue)
    return hue, chroma, value


def _stretch_contrast(images, largest, draws):
    factors = draws.uniform(1 - largest, 1 + largest)
    means = images.mean(axis=(1, 2), keepdims=True)
    images -= means
    images *= factors
    images += means


def _add_noise(images, augmentation, draws):
    noisy = draws.chosen(augmentation.noise_probability)
    for image, chosen, rng in zip(images, noisy, draws.generators(), strict=True):
        if chosen:
            noise = rng.standard_normal(image.shape, dtype=np.float32)
            image += augmentation.noise_deviation * noise
