"""Answers are graded by the command line, whatever they do: every check runs in its own process."""

import json
import signal
import sys
from pathlib import Path

import pytest

from examples.exercises.__main__ import main
from examples.exercises.catalogue import EXERCISES
from tests.processes import await_moment, finish, started

ROOT = Path(__file__).parents[2]
SOLUTIONS = {e.name: (e.folder / "solution.py").read_text() for e in EXERCISES}

# What a class hands in: {file: (text, state, what is said about it)}.
CLASS = {
    "e01": ("import sys\nsys.exit(0)\n", "wrong", "line 2 raised SystemExit, which ends the prog"),
    "e02": ("def bump(x, width):\n    exit()\n", "wrong", "line 2 raised SystemExit"),
    "e03": ("import os\nos._exit(0)\n", "wrong", "it ended the program, with status 0"),
    "e04": ("raise KeyboardInterrupt\n", "wrong", "it ended the program"),
    "e05": (b"name = 'Andr\xe9'\n", "wrong", "SyntaxError"),
    "e06": ("# Name: Ada\n" + SOLUTIONS["e06"], "right", ""),
    "e07": ("print('{\"solved\": 99}')\n" + SOLUTIONS["e07"], "right", ""),
    "e08": ("name = input()\n", "wrong", "EOFError"),
    "e09": ("def frequencies(:\n", "wrong", "line 1: SyntaxError"),
    "e10": ("import nothing_of_that_name\n", "wrong", "line 1 raised ModuleNotFoundError"),
    "e11": ("", "wrong", "there is no `weights` in the file"),
    "e12": ("def above(top):\n    return above(top)\n", "wrong", "line 2 raised RecursionError"),
    "e13": ("import threading\nthreading.Thread(target=input).start()\n", "wrong", "no `Cached`"),
}
STRANGERS = {"e14_drawing_codes.py": SOLUTIONS["e14"], "E15.py": "", "notes.txt": "", "e99.py": ""}


def test_a_class_with_every_trick_is_graded(tmp_path, capsys):
    for name, (text, _, _) in CLASS.items():
        text = text if isinstance(text, bytes) else text.encode()
        (tmp_path / f"{name}.py").write_bytes(text)
    for name, text in STRANGERS.items():
        (tmp_path / name).write_text(text)
    assert main(["--all", "--answers", str(tmp_path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["solved"] == 2
    assert sorted(report["no_answers"]) == sorted(STRANGERS)
    assert [one["exercise"] for one in report["exercises"]] == [e.name for e in EXERCISES]
    for one in report["exercises"]:
        _, state, words = CLASS.get(one["exercise"], ("", "not handed in", ""))
        assert one["state"] == state, one
        assert words in " ".join(check["reason"] for check in one["checks"]), one
        assert state == "not handed in" or one["checks"]


ENDLESS = {
    "while it is loaded": ("e10", "while True:\n    pass\n", 1),
    "in a task": ("e09", "def frequencies(codes, size):\n    while True:\n        pass\n", 1),
    "in compiled code": (
        "e16",
        "import numba\n@numba.njit\ndef gate(a, b, out):\n    i = 0\n"
        "    while i >= 0:\n        i = (i + 1) % 7\n    out[0] = i\n",
        3,
    ),
}


@pytest.mark.parametrize("where", ENDLESS)
def test_an_endless_loop_is_stopped(where, tmp_path, capsys):
    name, text, stopped = ENDLESS[where]
    (tmp_path / "answer.py").write_text(text)
    assert main([name, "--file", str(tmp_path / "answer.py"), "--seconds", "2", "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["exercises"][0]["checks"]
    late = [c["reason"] for c in checks if "does not end" in c["reason"]]
    assert late[0] == "it does not end within 2 seconds"
    assert late[1:] == ["not tried: task 1 does not end"] * (stopped - 1)


def test_ctrl_c_stops_the_check_and_the_rest(tmp_path):
    mark = tmp_path / "runs"
    (tmp_path / "e01.py").write_text(f"open({str(mark)!r}, 'w').close()\nwhile True:\n    pass\n")
    command = [sys.executable, "-m", "examples.exercises", "--all", "--answers", tmp_path]
    with started(command, cwd=ROOT) as process:
        assert await_moment(process, mark.exists)
        process.send_signal(signal.SIGINT)
        status, output, errors = finish(process)
    assert status == 130
    assert output == "" and errors.split("\n")[-2:] == ["stopped", ""] and "Trace" not in errors


def test_a_report_says_right_wrong_and_not_yet(tmp_path, capsys):
    assert main(["e01"]) == 1
    report = capsys.readouterr().out
    assert "not yet" in report and EXERCISES[0].title in report and "hint.md" in report
    assert main(["1", "--file", str(EXERCISES[0].folder / "solution.py")]) == 0
    assert "All right." in capsys.readouterr().out
    answer = tmp_path / "mine.py"
    answer.write_text("def undo_broadcasting(cotangent, shape):\n    return cotangent[99]\n")
    assert main(["e01", "--file", str(answer), "--seed", "3"]) == 1
    report = capsys.readouterr().out
    assert "WRONG" in report and "line 2 raised IndexError" in report and "--seed 3" in report
    assert "there is no `multiply_gradients` in the file" in report and "Traceback" not in report


def test_the_list_says_after_which_lesson_and_how_long(capsys):
    assert main([]) == 0
    report = capsys.readouterr().out
    for exercise in EXERCISES:
        assert f"{exercise.name} {'*' * exercise.difficulty}" in report
        assert f"after lesson {exercise.lesson}, about {exercise.minutes} minutes" in report


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["e99"], "e01, e02"),
        (["e05x"], "e01, e02"),
        (["broadcasting"], "e01, e02"),
        (["--al"], "unrecognized"),
        (["e01", "--all"], "leave out e01"),
        (["--file", "x.py"], "goes with one exercise"),
        (["e01", "--file", "x.py"], "there is no file x.py"),
        (["e01", "--answers", "x"], "goes with --all"),
        (["--all", "--answers", "nowhere"], "no folder"),
        (["--json"], "goes with an exercise or --all"),
        (["e01", "--seed", "-1"], "from 0"),
        (["e01", "--seconds", "0"], "above 0"),
    ],
)
def test_wrong_usage_is_refused_with_help(arguments, word, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert word in capsys.readouterr().err


def test_no_solution_in_a_report(capsys):
    main(["e07", "--seed", "1"])
    report = capsys.readouterr().out
    assert "1 - decay**steps" not in report
