"""Cases of what a recorded step does at a position that it reads from an array."""

from functools import partial

import numpy as np

from backends import kernels
from backends.reference.packing import pack
from backends.reference.position_step import Window
from tests.cases.draw import table
from tests.cases.sample import SAMPLINGS
from tests.cases.sampling_step import READINGS, step_cases

# Column 2 of the second row of maps of 4 columns, L = 16 positions.
WHERE, SIZE = 6, 4


def _where():
    return np.array([WHERE])


def _room(draw, *shape):
    """Numbers without gaps, as all arrays of a recorded step are."""
    return np.array(draw(*shape), order="C")


def _packed(w, storage, halves=1):
    prepared = kernels.prepare_weights(w, storage, halves)
    return prepared if prepared.ndim == 3 else pack(prepared, halves)


def _affine_at(rows, length, columns, storage, by_position, outputs, draw):
    x, w = _room(draw, rows, SIZE + 1, length), _packed(draw(length, columns), storage)
    x_window = Window(length, (SIZE + 1) * length, length)
    y_window = Window(1, SIZE**2 * (columns + 3), columns + 3, True)
    activation_window = Window(columns, (SIZE + 1) * columns, columns)
    if by_position:
        offset, offset_window = _room(draw, SIZE**2, columns), Window(0, 0, columns, True)
    else:
        offset = _room(draw, rows, SIZE + 1, columns)
        offset_window = Window(columns, (SIZE + 1) * columns, columns)
    y, activation = _room(draw, rows, SIZE**2, columns + 3), _room(draw, rows, SIZE + 1, columns)
    return (
        *(_where(), SIZE, rows, columns, x, x_window, w, offset, offset_window),
        *(y, y_window if outputs & 1 else None),
        *(activation, activation_window if outputs & 2 else None),
    )


def _affine_gate_at(rows, length, channels, storage, draw):
    x = _room(draw, rows, SIZE + 1, length)
    offset = _room(draw, rows, SIZE, 2 * channels)
    w = _packed(draw(length, 2 * channels), storage, halves=2)
    wide = Window(channels, 2 * channels)
    return (
        *(_where(), SIZE, rows, channels, x, Window(length, (SIZE + 1) * length, length), w),
        *(offset, Window(0, SIZE * 2 * channels, 2 * channels)),
        *(_room(draw, rows, 2 * channels), wide, _room(draw, rows, 2 * channels), wide),
        _room(draw, rows, SIZE + 2, channels),
        Window(2 * channels, (SIZE + 2) * channels, channels),
    )


def _attend_at(images, heads, positions, width, count, draw):
    past, output = _room(draw, images, positions, 2, heads, width), _room(draw, images, 40)
    query = _room(draw, images, heads, width)
    return np.array([count]), query, past, output, Window(3, 40)


def _sample_at(rows, count, temperature, top_k, top_p, draw):
    codes = np.where(draw.rng.random((rows, SIZE**2)) < 0.5, -1, 3)
    room = (_room(draw, rows, count), _room(draw, rows, count), np.zeros((rows, count), np.int32))
    logits, gumbel = _room(draw, rows, count), _room(draw, SIZE, rows, count)
    return _where(), SIZE, logits, gumbel, codes, temperature, top_k, top_p, *room


def _embed_at(images, hidden, draw):
    codes, y = draw.rng.integers(0, 5, (images, SIZE**2)), _room(draw, images, SIZE + 1, hidden)
    window = Window(hidden, (SIZE + 1) * hidden, hidden)
    return _where(), SIZE, _room(draw, 5, hidden), codes, y, window


CASES = {
    kernels.affine_at: {
        **step_cases(_affine_at, False, 3),
        "by-position": partial(_affine_at, 9, 70, 65, "float32", True, 1),
        "activation-only": partial(_affine_at, 3, 70, 65, "float32", False, 2),
    },
    kernels.affine_gate_at: step_cases(_affine_gate_at),
    kernels.attend_at: table(_attend_at, READINGS),
    kernels.sample_at: table(_sample_at, SAMPLINGS),
    kernels.embed_at: {
        "images": partial(_embed_at, 3, 300),
        "one-channel": partial(_embed_at, 1, 1),
        "no-images": partial(_embed_at, 0, 4),
    },
    kernels.advance: {"on": lambda draw: (_where(),)},
}

CHANGED = {
    kernels.affine_at: (9, 11),
    kernels.affine_gate_at: (11, 13),
    kernels.attend_at: (3,),
    kernels.sample_at: (4,),
    kernels.embed_at: (4,),
    kernels.advance: (0,),
}
