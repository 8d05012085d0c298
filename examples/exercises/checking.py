"""How an answer is checked, and what a check may use.

An exercise is a folder `eNN_topic` with

    exercise.py    stubs to fill in; each raises NotImplementedError naming its task
    hint.md        a nudge in the right direction
    solution.py    one right answer
    check.py       CHECKS, functions of (answer, rng) whose docstring says what has to hold and
                   which raise `Wrong` when it does not; and MUTANTS, wrong answers that they must
                   reject: {what is wrong: {name: replacement in the solution}}

The specification in a check is a slow loop that reads like the text. Inputs are drawn anew in
every run; the seed is printed when something is wrong, so that the run can be repeated.
"""

import contextlib
import importlib
import importlib.util
import re
import signal
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqv2 import Tensor

FOLDER = Path(__file__).parent
TRIALS = 3
SECONDS = 60  # for one check; the solutions take less than one


class Wrong(Exception):
    """An answer is not right; the message says what was asked, what came, and what that means."""


@dataclass
class Result:
    """What came of one check: `state` is "right", "wrong" or "not yet"."""

    state: str
    claim: str
    reason: str = ""


@dataclass
class Exercise:
    """One folder of exercises."""

    folder: Path

    @property
    def name(self):
        """Such as "e05"."""
        return self.folder.name[:3]

    @property
    def title(self):
        """The first line of exercise.py."""
        text = (self.folder / "exercise.py").read_text()
        return re.match('"""(.*)', text).group(1).strip('."')

    def checks(self):
        """The module check.py."""
        return importlib.import_module(f"examples.exercises.{self.folder.name}.check")


def exercises():
    """All `Exercise`s, in order."""
    return [Exercise(folder) for folder in sorted(FOLDER.glob("e[0-9][0-9]_*"))]


def load(path):
    """The module in a file, loaded afresh. Raises `Wrong` when it cannot even be loaded."""
    spec = importlib.util.spec_from_file_location(f"answer_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise Wrong(f"the file cannot be loaded: {_where(error, path)}") from None
    return module


def run(exercise, answer, path, seed):
    """[`Result`, ...] of all checks on an answer: a module, or anything with its functions."""
    return [
        _run_check(check, answer, path, np.random.default_rng((seed, number)))
        for number, check in enumerate(exercise.checks().CHECKS)
    ]


def _run_check(check, answer, path, rng):
    claim = check.__doc__.split("\n")[0].rstrip(".")
    try:
        with _time_limit():
            for _ in range(TRIALS):
                check(answer, rng)
    except Wrong as error:
        return Result("wrong", claim, str(error))
    except NotImplementedError as error:
        return Result("not yet", claim, str(error))
    except AttributeError as error:
        missing = getattr(error, "obj", None) is answer
        reason = f"there is no `{error.name}` in the file" if missing else _where(error, path)
        return Result("wrong", claim, reason)
    except Exception as error:  # whatever a first attempt may raise
        return Result("wrong", claim, _where(error, path))
    return Result("right", claim)


@contextlib.contextmanager
def _time_limit():
    """Raise `Wrong` inside when it takes too long, where the system can tell."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() != threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise Wrong(f"it does not come to an end within {SECONDS} seconds")

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _where(error, path):
    """An exception as a sentence, with the line of the answer that it came from."""
    name, text = type(error).__name__, str(error).split("\n")[0]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {name}: {error.msg}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f"line {lines[-1]} raised " if lines else "using it as the text says raised "
    return f"{place}{name}: {text}" if text else f"{place}{name}"


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
        where = f" at {place}" if place else ""
        one, other = _apart(got[place], expected[place])
        guess = _guess(got, expected, tolerance, mistakes or {})
        raise Wrong(
            f"{what}{where} is {one}, expected {other} ({far.sum()} of {far.size} differ){guess}"
        )


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


def gradient_is_right(function, gradient, inputs, rng, what, names, tolerance=1e-6):
    """Compare `gradient` with nudging, one input at a time.

    `function(*inputs)` is the output, `gradient(cotangent)` a tuple with one array for each input.
    Direction and cotangent are random.
    """
    cotangent = rng.standard_normal(np.shape(function(*inputs)))
    gradients = unchanged([cotangent, *inputs], lambda dy, *_: gradient(dy), what)
    gradients = several(gradients, [f"gradient of {name}" for name in names], what)
    for i, (x, dx, name) in enumerate(zip(inputs, gradients, names, strict=True)):
        dx, step = array(dx, f"the gradient of {name}", x.shape), 1e-6
        analytic, numeric = np.zeros((2, 2))  # two rates: along two random directions
        for number in range(2):
            direction = rng.standard_normal(x.shape)
            above, below = (
                (function(*inputs[:i], x + nudge * direction, *inputs[i + 1 :]) * cotangent).sum()
                for nudge in (step, -step)
            )
            numeric[number] = (above - below) / (2 * step)
            analytic[number] = (dx * direction).sum()
        if not _near(analytic, numeric, tolerance).all():
            factor = _factor(analytic, numeric) if x.size > 1 else None
            guess = f": it is {factor:.5g} times what it should be" if factor else ""
            raise Wrong(
                f"the gradient of {name} is wrong{guess}; along a random direction it says the "
                f"loss changes at the rate {analytic[0]:.6g}, nudging says {numeric[0]:.6g}"
            )
