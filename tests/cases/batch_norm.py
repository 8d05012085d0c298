"""Cases of kernels that treat each channel by itself."""

from functools import partial

import numpy as np

from backends import kernels

# rows, channels
CHANNELS = {
    "rows": (7, 5),
    "several-parts": (200, 3),
    "more-rows-than-parts": (64 * 32 + 37, 2),
    "one-row": (1, 4),
    "one-channel": (70, 1),
}


def _channels(letters, rows, count, draw):
    """Arrays (rows, count) for every R, (count,) for every C."""
    return tuple(draw(rows, count) if letter == "R" else draw(count) for letter in letters)


def _channel_cases(letters, with_empty=True):
    shapes = {**CHANNELS, "no-rows": (0, 3), "no-channels": (4, 0)} if with_empty else CHANNELS
    return {name: partial(_channels, letters, *shape) for name, shape in shapes.items()}


def _normalized(letters, more, relu, rows, count, draw):
    """x, mean, variance, scale, offset, epsilon, relu, and more arrays and numbers."""
    x, mean, variance, scale, offset = _channels("RCCCC", rows, count, draw)
    x = draw.place(_away_from_the_edge_of_relu(x, mean))
    variance, scale = draw.place(0.5 + variance * variance), draw.place(1 + scale * scale)
    offset = draw.place(offset * x.dtype.type(1e-3))
    return (
        x,
        mean,
        variance,
        scale,
        offset,
        1e-5,
        relu,
        *_channels(letters, rows, count, draw),
        *more,
    )


def _away_from_the_edge_of_relu(x, mean):
    """x, no number of which is so near to the mean that rounding decides about its sign."""
    return mean + np.where(x < mean, x - mean - 0.1, x - mean + 0.1).astype(x.dtype)


def _normalize_cases(letters, *more):
    return {
        f"{name}{'-relu' * relu}": partial(_normalized, letters, more, relu, *shape)
        for name, shape in {**CHANNELS, "no-rows": (0, 3), "no-channels": (4, 0)}.items()
        for relu in (False, True)
    }


CASES = {
    kernels.add_bias: {
        **_channel_cases("RC"),
        "images": lambda draw: (draw(2, 3, 5, 6), draw(6)),
    },
    kernels.sum_rows: _channel_cases("R"),
    kernels.moments: _channel_cases("R", with_empty=False),
    kernels.normalize: _normalize_cases(""),
    kernels.normalize_parameter_gradient: _normalize_cases("R"),
    kernels.normalize_input_gradient: {
        **_normalize_cases("RCC", 11.0),
        "onto": lambda draw: (*_normalized("RCC", [11.0], True, 40, 3, draw), draw(40, 3)),
    },
    kernels.factor_and_sum: _channel_cases("R"),
    kernels.add_biased: {
        **_channel_cases("RRC"),
        "images": lambda draw: (draw(2, 3, 5, 6), draw(2, 3, 5, 6), draw(6)),
    },
    kernels.follow_moments: {"channels": lambda draw: (*(draw(5) for _ in range(4)), 0.9)},
}

CHANGED = {kernels.add_bias: (0,), kernels.follow_moments: (0, 1)}
