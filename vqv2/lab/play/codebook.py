"""What the codes of a level look like, and how often training used them."""

import numpy as np

from backends import to_host

BLOCK = 4  # positions on a side that a code is shown alone on: what is beside it fades that fast


def code_patches(autoencoder, level):
    """What each code of a level decodes to, (K, h, w, C) float32 in [0, 1].

    A block of the map is filled with the code, all other levels are left out, and the patch is what
    one position becomes in the middle. A picture holds as many blocks as fit. Not in the paper.
    """
    config = autoencoder.config
    size = config.latent_sizes[config.levels.index(level)]
    block, pixels = min(BLOCK, size), config.image_size // size
    on_side = size // block
    places = [divmod(place, on_side) for place in range(on_side**2)]
    patches = []
    for maps in _filled(config.codebook_size, size, block, places, config.images_at_once()):
        for image in autoencoder.decode({level: maps}, [level]):
            patches += [_middle(image, place, block, pixels) for place in places]
    return np.stack(patches[: config.codebook_size])


def _filled(count, size, block, places, at_once):
    """Yield `at_once` maps (n, size, size), at most, with a block of each code in turn."""
    numbers = np.arange(-(-count // len(places)) * len(places)) % count
    for start in range(0, len(numbers), len(places) * at_once):
        some = numbers[start : start + len(places) * at_once].reshape(-1, len(places))
        maps = np.repeat(some[:, :1, None], size, axis=1).repeat(size, axis=2)
        for (row, column), codes in zip(places, some.T, strict=True):
            place = np.s_[:, row * block : (row + 1) * block, column * block : (column + 1) * block]
            maps[place] = codes[:, None, None]
        yield maps


def _middle(image, place, block, pixels):
    """The patch of the position in the middle of a block."""
    top, left = ((side * block + block // 2) * pixels for side in place)
    return image[top : top + pixels, left : left + pixels]


def shares(autoencoder, level):
    """How often training chose each code of a level, (K,) with a sum of 1; zeros if unknown."""
    counts = autoencoder.quantizers[autoencoder.config.levels.index(level)].average_counts
    counts = to_host(counts).astype(np.float64)
    return counts / max(counts.sum(), 1e-9)


def atlas(patches, columns=32):
    """Patches (K, h, w, C) in rows of `columns`, one picture (H, W, C)."""
    count, height, width, channels = patches.shape
    rows = -(-count // columns)
    blank = np.ones((rows * columns - count, height, width, channels), patches.dtype)
    table = np.concatenate([patches, blank]).reshape(rows, columns, height, width, channels)
    return table.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
