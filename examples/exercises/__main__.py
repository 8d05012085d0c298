"""Check an exercise: what is right, what is wrong, and why.

python -m examples.exercises            list the exercises
python -m examples.exercises e07        check e07
python -m examples.exercises --all      a score card
"""

import argparse
import json
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from examples.exercises import grading
from examples.exercises.catalogue import EXERCISES, Exercise

MARKS = {"right": "right  ", "wrong": "WRONG  ", "not yet": "not yet"}
STARS = {1: "*  ", 2: "** ", 3: "***"}
STOPPED = 130  # the exit status of a program that Ctrl-C has ended


@dataclass
class Report:
    """What came of one exercise; `path` is None when nothing was handed in."""

    exercise: Exercise
    path: Path | None
    results: list

    @property
    def right(self):
        """How many checks are passed."""
        return sum(result.state == "right" for result in self.results)

    @property
    def state(self):
        """Of the whole: "right", "wrong", "not yet" or "not handed in"."""
        states = {result.state for result in self.results}
        if self.path is None:
            return "not handed in"
        return "wrong" if "wrong" in states else "not yet" if "not yet" in states else "right"


def main(arguments=None):
    """Run the command line; the exit status: 0 when everything that was asked for is right."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _refuse(parser, options)
    if not options.all and options.exercise is None:
        return _list()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    try:
        return _score_card(options, seed) if options.all else _check(options, seed)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return STOPPED


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m examples.exercises",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("exercise", nargs="?", metavar="eNN", help="which one to check")
    parser.add_argument("--all", action="store_true", help="a score card of all exercises")
    parser.add_argument("--file", type=Path, help="check this file instead of exercise.py")
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FOLDER",
        help="with --all: grade FOLDER/eNN.py, and nothing else, instead of the exercise.py here",
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--seed", type=int, metavar="S", help="repeat a run (default: a new one)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=grading.SECONDS,
        metavar="T",
        help="stop a check that takes longer (default: %(default)s)",
    )
    return parser


def _refuse(parser, options):
    """End with a sentence where options do not fit together or name what is not there."""
    if options.all and options.exercise:
        parser.error("--all checks all exercises: leave out " + options.exercise)
    if options.answers and not options.all:
        parser.error("--answers FOLDER goes with --all")
    if options.file and not options.exercise:
        parser.error("--file PATH goes with one exercise: eNN --file PATH")
    if options.answers and not options.answers.is_dir():
        parser.error(f"there is no folder {options.answers}")
    if options.file and not options.file.is_file():
        parser.error(f"there is no file {options.file}")
    if options.json and not (options.all or options.exercise):
        parser.error("--json goes with an exercise or --all")
    if options.seed is not None and options.seed < 0:
        parser.error("--seed is a whole number from 0")
    if not options.seconds > 0:
        parser.error("--seconds is a number above 0")
    if options.exercise:
        number = re.fullmatch(r"e?(\d+)", options.exercise)
        name = f"e{int(number[1]):02}" if number else None
        known = {exercise.name: exercise for exercise in EXERCISES}
        if name not in known:
            parser.error(
                f"there is no exercise {options.exercise!r}: choose from {', '.join(known)}"
            )
        options.exercise = known[name]


def _list():
    print(__doc__)
    for exercise in EXERCISES:
        print(
            f"{exercise.name} {STARS[exercise.difficulty]} {exercise.title}\n        after lesson "
            f"{exercise.lesson}, about {exercise.minutes} minutes: "
            f"{_relative(exercise.folder)}/exercise.py"
        )
    return 0


def _grade(exercise, path, options, seed, quiet):
    if path is None:
        return Report(exercise, None, [])
    path = path.resolve()
    if not path.is_file():
        return Report(exercise, path, [grading.Result("wrong", "the file is there", f"no {path}")])
    results = grading.grade(exercise, path, seed, options.seconds, quiet)
    return Report(exercise, path, results)


def _check(options, seed):
    exercise = options.exercise
    path = options.file or exercise.folder / "exercise.py"
    if not options.json:
        print(f"{exercise.name}: {exercise.title}\n{_relative(path)}\n", flush=True)
    report = _grade(exercise, path, options, seed, quiet=options.json)
    if options.json:
        _print_json([report], seed)
    else:
        _print_results(report, seed)
    return 0 if report.state == "right" else 1


def _print_results(report, seed):
    former = None
    for result in report.results:
        print(f"{MARKS[result.state]}  {result.claim}")
        if result.reason:
            print(f"         {'the same' if result.reason == former else result.reason}")
        former = result.reason
    if report.state == "right":
        print("\nAll right.")
        return
    if report.state == "wrong":
        print(f"\nTo repeat with the same numbers: --seed {seed}")
    print(f"A hint: {_relative(report.exercise.folder / 'hint.md')}")


def _score_card(options, seed):
    reports = []
    for exercise in EXERCISES:
        path = exercise.folder / "exercise.py"
        if options.answers:
            path = options.answers / f"{exercise.name}.py"
            path = path if path.is_file() else None
        reports.append(_grade(exercise, path, options, seed, quiet=True))
        if not options.json:
            _print_line(reports[-1])
    unknown = _unknown(options.answers) if options.answers else []
    solved = sum(report.state == "right" for report in reports)
    if options.json:
        _print_json(reports, seed, unknown)
    else:
        print(f"\n{solved} of {len(reports)} solved. # right, x wrong, . not yet")
        for name in unknown:
            print(f"{name} is no answer to any exercise: answers are called e01.py, e02.py, ...")
    return 0 if solved == len(reports) else 1


def _unknown(folder):
    """Names in a folder of answers that no exercise has."""
    known = {f"{exercise.name}.py" for exercise in EXERCISES}
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if name not in known and not name.startswith((".", "__"))]


def _print_line(report):
    bar = "".join({"right": "#", "wrong": "x", "not yet": "."}[r.state] for r in report.results)
    score = f"{report.right} of {len(report.results)}" if report.path else "not handed in"
    print(f"{report.exercise.name}  {bar:6} {score:14} {report.exercise.title}", flush=True)


def _print_json(reports, seed, unknown=()):
    exercises = [
        {
            "exercise": report.exercise.name,
            "title": report.exercise.title,
            "file": report.path and str(report.path),
            "state": report.state,
            "checks": [
                {"claim": result.claim, "state": result.state, "reason": result.reason}
                for result in report.results
            ],
        }
        for report in reports
    ]
    solved = sum(report.state == "right" for report in reports)
    whole = {"seed": seed, "solved": solved, "exercises": exercises, "no_answers": list(unknown)}
    print(json.dumps(whole, indent=2))


def _relative(path):
    path = Path(path).resolve()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
