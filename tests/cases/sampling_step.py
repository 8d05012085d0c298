"""Cases of what sampling does at a position that it reads from an array."""

from functools import partial

import numpy as np

from backends import kernels
from backends.reference.packing import STORAGES
from tests.cases.draw import table
from tests.cases.matmul import PRODUCTS
from tests.cases.sample import SAMPLINGS, seeds

# Column 2 of the second row of maps of 4 columns, L = 16 positions.
WHERE, SIZE = 6, 4


def _where(position=WHERE):
    return np.array([position])


def _room(draw, *shape):
    """Numbers without gaps, as all arrays of a sampler are."""
    return np.array(draw(*shape), order="C")


def _row(draw, images, half, channels):
    return _room(draw, images, SIZE + 2 * half if half else 1, channels)


def _affine_at(images, channels, columns, storage, half, offset, following, draw):
    w = kernels.prepare_weights(draw((half + 1) * channels, columns), storage)
    added = _room(
        draw, *{"each": (images, SIZE), "map": (1, SIZE**2), "one": (1, 1)}[offset], columns
    )
    row, y = _row(draw, images, half, channels), _room(draw, images, columns)
    activation = _row(draw, images, 1, columns + 3) if following else None
    return _where(), SIZE, row, w, added, y, activation


def _gated_at(images, channels, inner, storage, halves, offset, draw):
    half, inner_half, following_half = halves
    w = kernels.prepare_weights(draw((half + 1) * channels, inner), storage)
    inner_w = draw((inner_half + 1) * inner, 2 * channels)
    along = {"each": (images, SIZE), "image": (images, 1), "one": (1, 1)}[offset]
    return (
        *(_where(), SIZE, _room(draw, images, channels), _row(draw, images, half, channels), w),
        *(_room(draw, 1, 1, inner), _row(draw, images, inner_half, inner)),
        kernels.prepare_weights(inner_w, storage, halves=2),
        *(_room(draw, *along, 2 * channels), _row(draw, images, following_half, channels)),
    )


# images, heads, width of a head, channels, position
READINGS = {
    "some": (2, 3, 4, 10, 5),
    "all": (1, 2, 3, 70, 15),
    "one": (2, 1, 5, 3, 1),
    "none": (2, 3, 2, 4, 0),
    "no-images": (0, 2, 3, 4, 2),
}


def _attend_at(images, heads, width, channels, position, storage, draw):
    w = kernels.prepare_weights(draw(channels, 3 * heads * width), storage)
    projected = _room(draw, images, 3 * heads * width)
    past = _room(draw, images, 2, heads, SIZE**2, width)
    joined = _room(draw, images, 1, channels + heads * width)
    offset = _room(draw, 1, SIZE**2, 3 * heads * width)
    x = _room(draw, images, channels)
    return _where(position), SIZE, x, w, offset, projected, past, joined


def _sample_at(rows, count, temperature, top_k, top_p, draw):
    codes = np.where(draw.rng.random((rows, SIZE**2)) < 0.5, -1, 3)
    room = (_room(draw, rows, count), _room(draw, rows, count), np.zeros((rows, count), np.int32))
    logits = _room(draw, rows, count)
    return _where(), logits, seeds(draw, rows), codes, temperature, top_k, top_p, *room


def _embed_at(images, channels, half, draw):
    codes = draw.rng.integers(0, 5, (images, SIZE**2))
    return _where(), SIZE, codes, _room(draw, 5, channels), _row(draw, images, half, channels)


def _remember_at(images, heads, width, draw):
    codes, columns = draw.rng.integers(0, 5, (images, SIZE**2)), heads * width
    past = _room(draw, images, 2, heads, SIZE**2, width)
    return _where(), codes, _room(draw, 5, 2 * columns), _room(draw, images, 3 * columns), past


CASES = {
    kernels.affine_at: {
        **{
            f"{name}-{storage}": partial(_affine_at, *shape, storage, 2, "each", True)
            for name, shape in PRODUCTS.items()
            for storage in STORAGES
        },
        "pointwise": partial(_affine_at, 9, 70, 65, "float32", 0, "one", True),
        "by-position": partial(_affine_at, 9, 70, 65, "bfloat16", 0, "map", False),
    },
    kernels.gated_at: {
        **{
            f"{name}-{storage}": partial(_gated_at, *shape, storage, (2, 0, 1), "each")
            for name, shape in PRODUCTS.items()
            for storage in STORAGES
        },
        "two-causal": partial(_gated_at, 3, 40, 70, "float32", (1, 2, 0), "each"),
        "pointwise": partial(_gated_at, 7, 33, 65, "bfloat16", (0, 0, 0), "one"),
        "a-class": partial(_gated_at, 2, 3, 5, "float32", (1, 0, 2), "image"),
    },
    kernels.attend_at: {
        f"{name}-{storage}": partial(_attend_at, *reading, storage)
        for name, reading in READINGS.items()
        for storage in STORAGES
    },
    kernels.sample_at: table(_sample_at, SAMPLINGS),
    kernels.embed_at: {
        "images": partial(_embed_at, 3, 300, 2),
        "one-channel": partial(_embed_at, 1, 1, 1),
        "pointwise": partial(_embed_at, 2, 5, 0),
        "no-images": partial(_embed_at, 0, 4, 2),
    },
    kernels.remember_at: {
        "heads": partial(_remember_at, 3, 2, 150),
        "one-number": partial(_remember_at, 1, 1, 1),
        "no-images": partial(_remember_at, 0, 2, 3),
    },
    kernels.advance: {"on": lambda draw: (_where(),)},
}

CHANGED = {
    kernels.affine_at: (5, 6),
    kernels.gated_at: (2, 6, 9),
    kernels.attend_at: (5, 7),
    kernels.sample_at: (3,),
    kernels.embed_at: (4,),
    kernels.remember_at: (4,),
    kernels.advance: (0,),
}
