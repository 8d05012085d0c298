"""The exponential function for compiled loops over float32, so that they vectorise.

The C library's `expf`, one number at a time, made up most of the time of ELU, gates and softmax.
Here e^x = 2^n e^r with n = round(x / log 2) and |r| <= log(2) / 2, for which eight terms of the
series are exact to a float32's last bit or two; everything is arithmetic that vectors have.
"""

import math

import numpy as np

from backends.numba.engine.compiled import Part

# Beside float32 in compiled loops, where a whole number would mean float64.
ZERO, ONE = np.float32(0), np.float32(1)
LOG2_OF_E = np.float32(1.4426950408889634)
# log 2 in two parts: n * UPPER is exact for every n that occurs.
UPPER, LOWER = np.float32(0.693359375), np.float32(-2.12194440e-4)
SERIES = tuple(np.float32(1 / math.factorial(k)) for k in range(8))
HIGHEST, LOWEST = np.float32(89), np.float32(-104)  # beyond: infinity, and zero


def _exp(x):
    return math.exp(x)


def _exp_float32(x):
    inside = min(max(x, LOWEST), HIGHEST)
    scaled = inside * LOG2_OF_E
    n = np.int32(scaled + (np.float32(0.5) if scaled >= 0 else np.float32(-0.5)))
    r = inside - np.float32(n) * UPPER - np.float32(n) * LOWER
    y = SERIES[7]
    for k in range(6, -1, -1):
        y = y * r + SERIES[k]
    half = n >> np.int32(1)  # 2^n in two steps: it need not be a float32 itself
    y = y * _power_of_two(half) * _power_of_two(n - half)
    return y if x == x else x  # NaN stays NaN


def _power_of_two(n):
    """2^n for whole -126 <= n <= 127, from the bits of a float32."""
    return np.uint32(np.uint32(n + np.int32(127)) << np.uint32(23)).view(np.float32)


def _build():
    import numba
    from numba.extending import overload, register_jitable

    names = {**globals(), "_power_of_two": register_jitable(_power_of_two)}
    float32 = type(_exp_float32)(_exp_float32.__code__, names)

    # Without "reassoc", which might join the two parts of log 2 again.
    @overload(_exp, jit_options={"fastmath": {"contract"}})
    def _choose(x):
        return float32 if x == numba.types.float32 else lambda x: math.exp(x)

    return _exp


exp = Part(_exp, _build)
