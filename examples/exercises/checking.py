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
    place = f"line {lines[-1]} raised " if lines else ""
    return f"{place}{name}: {text}" if text else f"{place}{name}"


def same(got, expected, what, tolerance=1e-9):
    """Raise `Wrong` unless `got` has the shape and the values of the array `expected`."""
    if got is None:
        raise Wrong(f"{what} is None: is a `return` missing?")
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Wrong(f"{what} has shape {got.shape}, expected {expected.shape}")
    if not np.issubdtype(got.dtype, np.number) and got.dtype != bool:
        raise Wrong(f"{what} has dtype {got.dtype}, expected numbers")
    with np.errstate(all="ignore"):
        far = ~(np.abs(got - expected * 1.0) <= tolerance * (1 + np.abs(expected * 1.0)))
    if far.any():
        place = tuple(int(i) for i in np.argwhere(far)[0])
        where = f" at {place}" if place else ""
        one, other = _apart(got[place], expected[place])
        raise Wrong(f"{what}{where} is {one}, expected {other} ({far.sum()} of {far.size} differ)")


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
            f"{what} is a {type(value).__name__}, not a tensor: compute with tensors and "
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
    if not isinstance(gradients, tuple | list) or len(gradients) != len(inputs):
        raise Wrong(f"{what} must return {len(inputs)} gradients: of {', '.join(names)}")
    for i, (x, dx, name) in enumerate(zip(inputs, gradients, names, strict=True)):
        if dx is None:
            raise Wrong(f"the gradient of {name} is None: is a `return` missing?")
        if np.shape(dx) != x.shape:
            raise Wrong(
                f"the gradient of {name} has shape {np.shape(dx)}, but {name} has {x.shape}"
            )
        direction, step = rng.standard_normal(x.shape), 1e-6
        above, below = (
            (function(*inputs[:i], x + sign * step * direction, *inputs[i + 1 :]) * cotangent).sum()
            for sign in (1, -1)
        )
        numeric, analytic = (above - below) / (2 * step), (dx * direction).sum()
        if not abs(numeric - analytic) <= tolerance * (1 + abs(numeric)):
            raise Wrong(
                f"the gradient of {name} is wrong: along a random direction it says the loss "
                f"changes at the rate {analytic:.6g}, nudging says {numeric:.6g}"
            )
