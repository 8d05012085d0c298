"""Random changes to training images (supplement, section A.1).

What A.1 says: ImageNet has random crops and flips; FFHQ is in addition perturbed in brightness
(maximum delta 0.08), hue (maximum delta 0.02), saturation and contrast (plus or minus 10 %), and
has, with probability 0.5, Gaussian noise of standard deviation 0.02 added to the whole image.

What is decided here, because A.1 leaves it open: every amount is drawn uniformly, for each image
on its own; the four colour changes mean what TensorFlow's functions of the same names do, as that
is what the paper was written with; hue and saturation come first, while the image is still in
range, so that one clip to [0, 1] at the end is enough; FFHQ, whose faces are aligned, is flipped
but not cropped.

Each image has a generator of its own, so that images can be changed in any order and by any
process, and a batch stays the same to the last bit.
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


_PIXELS_AT_ONCE = 2**14  # so that what is computed on the way fits a processor's cache
_PARTS = {
    "crop": ("random_crop",),
    "flip": ("horizontal_flip",),
    "brightness": ("brightness",),
    "hue": ("hue",),
    "saturation": ("saturation",),
    "contrast": ("contrast",),
    "noise": ("noise_probability", "noise_deviation"),
}
COLOUR_FIELDS = ("brightness", "hue", "saturation", "contrast", "noise_probability")


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

    def parts(self):
        """[(what it is called, an `Augmentation` with this part only), ..., ("all", this one)]."""
        parts = []
        for name, fields in _PARTS.items():
            values = {field: getattr(self, field) for field in fields}
            if all(values.values()):
                parts.append((name, Augmentation(**values)))
        return [*parts, ("all", self)] if parts else []

    @property
    def recolours(self):
        """Whether pixels get other values, rather than other places."""
        return any(getattr(self, field) for field in COLOUR_FIELDS)


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

PRESETS = {"none": NONE, "imagenet": IMAGENET, "ffhq": FFHQ}


def recoloured(image, augmentation, rng):
    """A changed copy of an image, float32 (H, W, C) in [0, 1]: hue, saturation, and so on, noise.

    `rng`, a `numpy.random.Generator`, makes the choices. Greyscale images (C = 1) have no hue and
    no saturation, so these two leave them alone. Crops and flips are not made here.
    """
    turn = _uniform(augmentation.hue, rng)
    factor = 1 + _uniform(augmentation.saturation, rng)
    brightness = _uniform(augmentation.brightness, rng)
    contrast = 1 + _uniform(augmentation.contrast, rng)
    noisy = rng.random() < augmentation.noise_probability
    if image.shape[-1] == 3 and (augmentation.hue or augmentation.saturation):
        image = shift_colours(image, turn, factor)
    image = image + brightness
    if augmentation.contrast:
        means = image.mean(axis=0).mean(axis=0)
        # For a whole row, as adding three numbers at a time is ten times slower.
        row = np.tile((1 - contrast) * means, (image.shape[1], 1))
        image = image * contrast + row
    if noisy and augmentation.noise_deviation:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image += augmentation.noise_deviation * noise
    return np.clip(image, 0.0, 1.0, out=image)


def _uniform(largest, rng):
    return np.float32(rng.uniform(-largest, largest))


def shift_colours(image, turn, factor):
    """Rotate the hue of float32 (H, W, 3) RGB in [0, 1] by `turn`, multiply its saturation.

    `turn` is a part of a full turn (1/3 takes red to green); `factor` times the HSV saturation is
    kept at 1 at most, so the result is in [0, 1] too. The value, max(R, G, B), does not change.
    """
    result = np.empty_like(image)
    rows = max(1, _PIXELS_AT_ONCE // image.shape[1])
    for start in range(0, len(image), rows):
        block = slice(start, start + rows)
        hue, chroma, value = _hue_chroma_value(image[block])
        hue += 6 * turn
        chroma = np.minimum(chroma * factor, value)
        for channel, centre in enumerate((0, 2, 4)):  # where red, green, blue are at their most
            # A channel falls short of the value by the chroma times a trapezium wave of the hue.
            distance = hue - centre
            distance -= 6 * np.rint(distance / 6)
            wave = np.clip(np.abs(distance) - 1, 0, 1)
            result[block, :, channel] = value - chroma * wave
    return result


def _hue_chroma_value(image):
    """The hue in [-1, 5) (sixths of a turn), the chroma (max - min) and the value (max)."""
    red, green, blue = (np.ascontiguousarray(image[..., channel]) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    scale = 1 / np.where(chroma == 0, np.float32(1), chroma)
    hue = np.where(value == green, 2 + (blue - red) * scale, 4 + (red - green) * scale)
    hue = np.where(value == red, (green - blue) * scale, hue)
    return hue, chroma, value
