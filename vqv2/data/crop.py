"""From a picture of any shape to a square one: resize, then cut out the centre or any place."""

from math import ceil

from PIL import Image

# A random crop needs something to cut off: the longer side is at least this much longer.
ROOM = 9 / 8


def decoded_size(size):
    """How many pixels a picture needs on its shorter side for `square` to lose nothing."""
    return ceil(ROOM * size)


def crop_position(height, width, size, draw=None):
    """Where a `size` x `size` crop of a `height` x `width` picture begins: (top, left), pixels.

    `draw` is two random numbers in [0, 1), for the vertical and the horizontal place, both uniform
    over all places; None means the centre.
    """
    room = height - size, width - size
    if draw is None:
        return room[0] // 2, room[1] // 2
    return tuple(int(number * (free + 1)) for number, free in zip(draw, room, strict=True))


def square(picture, size, draw=None):
    """Cut a `size` x `size` square out of a PIL image, `resized` before; both sides >= `size`.

    Without `draw` the centre is kept; with it (see `crop_position`) the crop is random.
    """
    picture = resized(picture, size, draw is not None)
    top, left = crop_position(picture.height, picture.width, size, draw)
    return picture.crop((left, top, left + size, top + size))


def resized(picture, size, for_random_crop=False):
    """A PIL image, both sides >= `size`, made so small that its shorter side is `size`.

    "Random cropping" is all that section A.1 says; here the crop is taken where the shorter side is
    `size`, too, except that `for_random_crop` a picture that is square, or nearly so, is resized
    until its longer side is 9/8 of `size`, for a crop to have some freedom.
    """
    scale = size / min(picture.size)
    if for_random_crop:
        scale = max(scale, ROOM * size / max(picture.size))
    shape = tuple(round(side * scale) for side in picture.size)
    if shape != picture.size:
        picture = picture.resize(shape, Image.Resampling.BICUBIC)
    return picture
