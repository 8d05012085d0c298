"""Cases of kernels that treat each channel by itself."""

from functools import partial

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


CASES = {
    kernels.add_bias: {
        **_channel_cases("RC"),
        "images": lambda draw: (draw(2, 3, 5, 6), draw(6)),
    },
    kernels.sum_rows: _channel_cases("R"),
    kernels.moments: _channel_cases("R", with_empty=False),
    kernels.normalize: _channel_cases("RCCC"),
    kernels.correlate: _channel_cases("RCR"),
    kernels.combine: _channel_cases("RCRCCC"),
}

CHANGED = {kernels.add_bias: (0,)}
