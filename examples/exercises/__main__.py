"""Check an exercise: what is right, what is wrong, and why.

python -m examples.exercises            list the exercises
python -m examples.exercises e05        check e05
python -m examples.exercises --all      a score card
"""

import argparse
import re
import secrets
import sys
from pathlib import Path

from examples.exercises import checking

MARKS = {"right": "right  ", "wrong": "WRONG  ", "not yet": "not yet"}


def main(arguments=None):
    """Run the command line; the exit status: 0 when everything that was asked for is right."""
    parser = _parser()
    options = parser.parse_args(arguments)
    known = {exercise.name: exercise for exercise in checking.exercises()}
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    if options.answers and not options.all:
        parser.error("--answers FOLDER goes with --all")
    if options.file and (options.all or not options.exercise):
        parser.error("--file PATH goes with one exercise: eNN --file PATH")
    if options.answers and not options.answers.is_dir():
        parser.error(f"there is no folder {options.answers}")
    if options.all:
        return _score_card(known.values(), seed, options.answers)
    if options.exercise is None:
        _list(known.values())
        return 0
    number = re.match(r"e?(\d+)", options.exercise)
    name = f"e{int(number[1]):02}" if number else None
    if name not in known:
        parser.error(f"there is no exercise {options.exercise!r}: choose from {', '.join(known)}")
    return _check(known[name], seed, options.file)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m examples.exercises",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("exercise", nargs="?", metavar="eNN", help="which one to check")
    parser.add_argument("--all", action="store_true", help="a score card of all exercises")
    parser.add_argument("--file", type=Path, help="check this file instead of exercise.py")
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FOLDER",
        help="with --all: take FOLDER/eNN.py, where it exists, instead of exercise.py",
    )
    parser.add_argument("--seed", type=int, metavar="S", help="repeat a run (default: a new one)")
    return parser


def _list(exercises):
    print(__doc__)
    for exercise in exercises:
        print(f"{exercise.name}  {exercise.title}\n     {_relative(exercise.folder)}/exercise.py")


def _check(exercise, seed, file):
    path = file or exercise.folder / "exercise.py"
    print(f"{exercise.name}: {exercise.title}\n{_relative(path)}\n")
    results = _results(exercise, path, seed)
    for result in results:
        print(f"{MARKS[result.state]}  {result.claim}")
        if result.reason:
            print(f"         {result.reason}")
    if all(result.state == "right" for result in results):
        print("\nAll right.")
        return 0
    if any(result.state == "wrong" for result in results):
        print(f"\nTo repeat with the same numbers: --seed {seed}")
    print(f"A hint: {_relative(exercise.folder / 'hint.md')}")
    return 1


def _results(exercise, path, seed):
    path = path.resolve()
    if not path.is_file():
        raise SystemExit(f"there is no file {path}")
    try:
        answer = checking.load(path)
    except checking.Wrong as error:
        return [checking.Result("wrong", "the file can be loaded", str(error))]
    return checking.run(exercise, answer, path, seed)


def _score_card(exercises, seed, answers):
    solved = 0
    for exercise in exercises:
        given = answers / f"{exercise.name}.py" if answers else None
        path = given if given and given.is_file() else exercise.folder / "exercise.py"
        states = [result.state for result in _results(exercise, path, seed)]
        right = states.count("right")
        solved += right == len(states)
        bar = "".join({"right": "#", "wrong": "x", "not yet": "."}[state] for state in states)
        print(f"{exercise.name}  {bar:6} {right} of {len(states)}  {exercise.title}")
    total = len(list(exercises))
    print(f"\n{solved} of {total} solved. # right, x wrong, . not yet")
    return 0 if solved == total else 1


def _relative(path):
    path = Path(path).resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
