"""Grading an answer: each check runs in a process of its own, with a time limit of its own.

Whatever an answer does, an endless loop while it is loaded or in compiled code, `sys.exit(0)`, a
crash of the interpreter, thus costs it one check and nothing else. `run` does the same in this
process, for answers that are trusted.
"""

import multiprocessing
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from importlib import util

import numpy as np

from .checking import Wrong  # relative, as lesson 14 imports `exercises` and not `examples`

TRIALS = 3
SECONDS = 30  # for loading a file, and for each check; the solutions take one or two
PATIENCE = 5  # seconds after which it says that it waits
LAST_WORDS = 0.5  # seconds that a process has to print what it still holds, before it is killed
LOADING = "the file can be loaded"


@dataclass
class Result:
    """What came of one check: `state` is "right", "wrong" or "not yet"; `late`: it was stopped."""

    state: str
    claim: str
    reason: str = ""
    late: bool = False


def grade(exercise, path, seed, seconds=SECONDS, quiet=False):
    """[`Result`, ...] of all checks on the answer in a file; one, when it cannot be loaded.

    `seed` draws the numbers; `seconds` is the limit of each check; `quiet` discards what the answer
    prints. A check is not tried when its task did not come to an end in a check before it.
    """
    claims, result = _in_process(exercise, path, seed, 0, seconds, quiet)
    results = [result]
    if result.claim == LOADING:  # it would fail in every check
        return results
    for number, claim in enumerate(claims[1:], start=1):
        task = claim.split(":")[0]
        if any(former.late and former.claim.startswith(task) for former in results):
            results.append(Result("wrong", claim, f"not tried: {task.lower()} does not end"))
        else:
            results.append(_in_process(exercise, path, seed, number, seconds, quiet)[1])
    return results


def run(exercise, answer, path, seed):
    """Yield the `Result` of each check on an answer that is loaded: anything with its functions."""
    for number, check in enumerate(exercise.checks().CHECKS):
        yield _check(check, answer, path, (seed, number))


def load(path):
    """The module in a file, loaded afresh. Raises `Wrong` when it cannot even be loaded."""
    spec = util.spec_from_file_location(f"answer_{path.stem}", path)
    module = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Wrong(_where(error, path)) from None
    return module


def _in_process(exercise, path, seed, number, seconds, quiet):
    """([claim, ...] of all checks, `Result` of check `number`, or of loading where that fails)."""
    receiver, sender = _context().Pipe(duplex=False)
    process = _context().Process(
        target=_child, args=(sender, exercise, path, seed, number, quiet), daemon=True
    )
    process.start()
    sender.close()  # the child's end: what remains open is closed when the child ends
    claims, claim = [], LOADING
    try:
        claims = receiver.recv()
        loaded = _receive(receiver, seconds)
        if loaded is not None:
            return claims, loaded
        claim = claims[number]
        return claims, _receive(receiver, seconds)
    except TimeoutError:
        return claims, Result("wrong", claim, f"it does not end within {seconds:g} seconds", True)
    except EOFError:
        process.join(LAST_WORDS)
        status = "" if process.exitcode is None else f", with status {process.exitcode}"
        return claims, Result("wrong", claim, f"it ended the program{status}")
    finally:
        process.join(LAST_WORDS)
        process.kill()
        process.join()


def _context():
    """A server that forks children with everything imported, where the system has such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["examples.exercises.checking"])
    return context


def _receive(receiver, seconds):
    """The next message. Raises TimeoutError when there is none, EOFError when its sender ended."""
    if not receiver.poll(min(PATIENCE, seconds)):
        if seconds > PATIENCE:
            print(f"... still running; it is stopped after {seconds:g} seconds", file=sys.stderr)
        if not receiver.poll(max(0, seconds - PATIENCE)):
            raise TimeoutError
    return receiver.recv()


def _child(sender, exercise, path, seed, number, quiet):
    """Send the claims of all checks, then None when the answer is loaded, then one `Result`.

    Or, where it comes to no check, a `Result` that says why in the place of None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    if quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    try:
        checks = exercise.checks().CHECKS
    except ImportError as error:  # such as a Numba without a simulator
        sender.send([])
        sender.send(Result("not yet", "this exercise can be checked here", str(error)))
        return
    sender.send([_claim(check) for check in checks])
    try:
        answer = load(path)
    except Wrong as error:
        sender.send(Result("wrong", LOADING, str(error)))
        return
    sender.send(None)
    sender.send(_check(checks[number], answer, path, (seed, number)))


def _claim(check):
    return check.__doc__.split("\n")[0].rstrip(".")


def _check(check, answer, path, seed):
    """The `Result` of one check, tried several times with numbers drawn from a seed."""
    rng, claim = np.random.default_rng(seed), _claim(check)
    try:
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
    except (Exception, SystemExit) as error:  # whatever a first attempt may raise
        return Result("wrong", claim, _where(error, path))
    return Result("right", claim)


def _where(error, path):
    """An exception as a sentence, with the line of the answer that it came from."""
    name, text = type(error).__name__, str(error).split("\n")[0]
    if isinstance(error, SyntaxError):
        line = f"line {error.lineno}: " if error.lineno else ""
        return f"{line}{name}: {error.msg}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f"line {lines[-1]} raised " if lines else "using it as the text says raised "
    if isinstance(error, SystemExit):
        return f"{place}{name}, which ends the program: leave out exit and sys.exit"
    return f"{place}{name}: {text}" if text else f"{place}{name}"
