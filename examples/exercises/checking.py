"""What a check may use: to say that an answer is wrong, and how.

The specification in a check is a slow loop that reads like the text. Inputs are drawn anew in
every run; the seed is printed when something is wrong, so that the run can be repeated.
"""

import numpy as np

from vqv2 import Tensor


class Wrong(Exception):
    """An answer is not right; the message says what was asked, what came, and what that means."""


def array(got, what, shape=None):
    """`got` as an array of numbers, of `shape` if one is given; raise `Wrong` when it is none."""
    if got is None:
        raise Wrong(f"{what} is None: is a `return` missing?")
    try:
        found = np.asarray(got)
    except ValueError:  # NumPy's way to say that it holds things of different shapes
        raise Wrong(f"{what} is {kind(got)} of things of different shapes, not one array") from None
    if not np.issubdtype(found.dtype, np.number) and found.dtype != bool:
        raise Wrong(f"{what} is {kind(got)}, its dtype {found.dtype}: expected numbers")
    if shape is not None and found.shape != shape:
        turned = ", the other way round" if found.ndim > 1 and found.shape[::-1] == shape else ""
        raise Wrong(f"{what} has shape {found.shape}, expected {shape}{turned}")
    return found


def kind(value):
    """What a value is, with its article: "an int", "a tuple"."""
    name = type(value).__name__
    return f"an {name}" if name.lower().startswith(("a", "e", "i", "o", "nd")) else f"a {name}"


def several(got, names, what):
    """The things of these names that `what` returned; raise `Wrong` unless there are as many."""
    if got is None:
        raise Wrong(f"{what} returned None: is a `return` missing?")
    if not isinstance(got, tuple | list) or len(got) != len(names):
        count = f" of {len(got)}" if isinstance(got, tuple | list) else ""
        raise Wrong(
            f"{what} must return {len(names)} things, ({', '.join(names)}): it returned "
            f"{kind(got)}{count}"
        )
    return tuple(got)


def same(got, expected, what, tolerance=1e-9, mistakes=None):
    """Raise `Wrong` unless `got` has the shape and the values of the array `expected`.

    `mistakes` is {what has been done: what comes out then}, of mistakes that are easily made.
    """
    expected = np.asarray(expected)
    got = array(got, what, expected.shape)
    far = ~_near(got, expected, tolerance)
    if far.any():
        place = tuple(int(i) for i in np.argwhere(far)[0])
        where = f": number {list(place)}" if place else ""
        one, other = _apart(got[place], expected[place])
        count = f" ({far.sum()} of {far.size} differ)" if far.size > 1 else ""
        guess = _guess(got, expected, tolerance, mistakes or {})
        raise Wrong(f"{what}{where} is {one}, expected {other}{count}{guess}")


def _near(got, expected, tolerance):
    """Where two arrays agree; never at NaN."""
    with np.errstate(all="ignore"):
        return np.abs(got - expected * 1.0) <= tolerance * (1 + np.abs(expected * 1.0))


def _guess(got, expected, tolerance, mistakes):
    """What the difference looks like, as the end of a sentence; "" when it looks like nothing."""
    for words, outcome in mistakes.items():
        if np.shape(outcome) == got.shape and _near(got, np.asarray(outcome), tolerance).all():
            return f": that is what comes out when {words}"
    if got.ndim == 2 and got.shape == got.T.shape and _near(got.T, expected, tolerance).all():
        return ": it is transposed"
    if got.dtype.kind == "f" and got.dtype.itemsize < 8 and _near(got, expected, 1e-2).all():
        return f": its dtype is {got.dtype}, so that digits were lost on the way"
    if got.dtype.kind in "iu" and expected.dtype.kind == "f":
        return f": its dtype is {got.dtype}, which has no fractions"
    if got.size > 1 and (factor := _factor(got, expected)):
        return f": it is {factor:.5g} times what is expected, everywhere"
    return ""


def _factor(got, expected):
    """The one number that all of `expected` was multiplied by, or None."""
    weight = (np.asarray(expected) * 1.0).ravel()
    with np.errstate(all="ignore"):
        factor = float((got.ravel() * weight).sum() / (weight * weight).sum())
        known = factor and np.isfinite(factor) and _near(got, factor * expected, 1e-5).all()
    return factor if known and abs(factor - 1) > 1e-4 else None


def _apart(one, other):
    """Two numbers that differ as texts that do, with no more digits than that takes."""
    for digits in (6, 10, 17):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts


def tensor(value, what):
    """`value`; raise `Wrong` unless it is a tensor of the library, through which gradients flow."""
    if not isinstance(value, Tensor):
        raise Wrong(
            f"{what} is {kind(value)}, not a tensor: compute with tensors and "
            "vqv2.functional, not with their arrays, or no gradient can come back"
        )
    return value


def unchanged(arrays, function, what):
    """function(*arrays); raise `Wrong` when it wrote into an array that it was given."""
    copies = [np.copy(a) for a in arrays]
    result = function(*arrays)
    for array, copy in zip(arrays, copies, strict=True):
        if not np.array_equal(array, copy):
            raise Wrong(f"{what} changed one of its arguments: the caller still needs it")
    return result


def gradient_is_right(function, gradient, inputs, rng, what, names, exact=None, tolerance=1e-12):
    """Compare `gradient` with nudging, one input at a time, and then with the formula.

    `function(*inputs)` is the output, `gradient(cotangent)` a tuple with one array for each input.
    Direction and cotangent are random. `exact(cotangent)` are the gradients by formula: one that
    agrees with nudging, but not with these to `tolerance`, has been found by nudging itself.
    """
    cotangent = rng.integers(-3, 4, np.shape(function(*inputs))) * 1.0
    gradients = unchanged([cotangent, *inputs], lambda dy, *_: gradient(dy), what)
    gradients = several(gradients, [f"gradient of {name}" for name in names], what)
    for i, (x, dx, name) in enumerate(zip(inputs, gradients, names, strict=True)):
        dx = array(dx, f"the gradient of {name}", x.shape)

        def nudged(nudge, i=i):
            return (function(*inputs[:i], inputs[i] + nudge, *inputs[i + 1 :]) * cotangent).sum()

        _agrees_with_nudging(nudged, x, dx, rng, name)
        if exact is not None:
            _is_exact(dx, exact(cotangent)[i], name, tolerance)


def nudged(function, inputs, cotangent, step=1e-5):
    """The gradients by nudging one number at a time: the wrong answer that `exact` is there for."""
    gradients = [np.zeros(np.shape(x)) for x in inputs]
    for i, x in enumerate(inputs):
        for place in np.ndindex(np.shape(x)):
            direction = np.zeros(np.shape(x))
            direction[place] = step
            above, below = (
                function(*inputs[:i], x + sign * direction, *inputs[i + 1 :]) for sign in (1, -1)
            )
            gradients[i][place] = ((above - below) * cotangent).sum() / (2 * step)
    return tuple(gradients)


def _agrees_with_nudging(function, x, dx, rng, name):
    """Compare the rates of change along two random directions."""
    analytic, numeric = np.zeros((2, 2))
    for number in range(2):
        step = 1e-6 * rng.standard_normal(x.shape)
        numeric[number] = (function(step) - function(-step)) / 2e-6
        analytic[number] = (dx * step).sum() / 1e-6
    if not _near(analytic, numeric, 1e-6).all():
        factor = _factor(analytic, numeric) if x.size > 1 else None
        guess = f": it is {factor:.5g} times what it should be" if factor else ""
        raise Wrong(
            f"the gradient of {name} is wrong{guess}; along a random direction it says the "
            f"loss changes at the rate {analytic[0]:.6g}, nudging says {numeric[0]:.6g}"
        )


def _is_exact(dx, exact, name, tolerance):
    """Refuse a gradient with the digits of nudging, or of a smaller dtype."""
    if not _near(dx, exact, tolerance).all():
        far = (np.abs(dx - exact) / (1 + np.abs(exact))).max()
        raise Wrong(
            f"the gradient of {name} has {-np.log10(far):.0f} right digits, where a formula has "
            "15: that is what nudging every number leaves, (f(x + h) - f(x - h)) / 2h, or a dtype "
            "such as float32. Derive the formula: it costs one pass, not two for every number"
        )
