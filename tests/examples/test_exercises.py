"""The exercises' checks are checked: stubs fail, solutions pass, wrong answers are found out."""

import secrets
from types import SimpleNamespace

import pytest

from examples.exercises import checking
from examples.exercises.__main__ import main

EXERCISES = {exercise.name: exercise for exercise in checking.exercises()}
MUTANTS = [
    (name, wrong) for name, exercise in EXERCISES.items() for wrong in exercise.checks().MUTANTS
]


def states(exercise, answer):
    """The states of all checks, and what to read when a test fails. Seeds are fresh."""
    seed = secrets.randbelow(10**6)
    results = checking.run(exercise, answer, exercise.folder / "solution.py", seed)
    return [result.state for result in results], (seed, results)


def test_there_are_ten_or_more_whole_exercises():
    assert len(EXERCISES) >= 10
    for exercise in EXERCISES.values():
        assert {f.name for f in exercise.folder.iterdir() if f.is_file()} >= {
            "exercise.py",
            "hint.md",
            "solution.py",
            "check.py",
        }
        assert len(exercise.checks().MUTANTS) >= 3


@pytest.mark.parametrize("name", EXERCISES)
def test_stub_fails_and_names_its_task(name):
    exercise = EXERCISES[name]
    found, details = states(exercise, checking.load(exercise.folder / "exercise.py"))
    assert set(found) == {"not yet"}, details
    assert all("task" in result.reason for result in details[1])


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_passes(name):
    exercise = EXERCISES[name]
    found, details = states(exercise, checking.load(exercise.folder / "solution.py"))
    assert set(found) == {"right"}, details


@pytest.mark.parametrize(("name", "wrong"), MUTANTS, ids=lambda value: value)
def test_mutant_fails(name, wrong):
    exercise = EXERCISES[name]
    solution = checking.load(exercise.folder / "solution.py")
    mutant = SimpleNamespace(**{**vars(solution), **exercise.checks().MUTANTS[wrong]})
    found, details = states(exercise, mutant)
    assert "wrong" in found, details
    assert "not yet" not in found, details


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("e03", "the image itself takes its gradient", "changed one of its arguments"),
        ("e04", "codes that are no whole numbers", "dtype float64"),
        ("e06", "numbers instead of tensors", "the codebook loss is a float64, not a tensor"),
        ("e06", "one cotangent for two arguments", "1 cotangents for 2 inputs"),
    ],
)
def test_a_report_says_what_the_mistake_is(name, wrong, words):
    exercise = EXERCISES[name]
    mutant = SimpleNamespace(
        **{**vars(exercise.checks().solution), **exercise.checks().MUTANTS[wrong]}
    )
    _, (_, results) = states(exercise, mutant)
    assert words in " ".join(result.reason for result in results)


def test_numbers_that_differ_look_different_in_a_report():
    with pytest.raises(checking.Wrong, match="is 1.00000001, expected 1 "):
        checking.same(1.00000001, 1.0, "it")


def test_command_line_reports_right_wrong_and_not_yet(tmp_path, capsys):
    assert main(["e01"]) == 1
    assert "not yet" in capsys.readouterr().out
    assert main(["e01", "--file", str(EXERCISES["e01"].folder / "solution.py")]) == 0
    assert "All right." in capsys.readouterr().out
    answer = tmp_path / "e01.py"
    answer.write_text("def undo_broadcasting(cotangent, shape):\n    return cotangent[99]\n")
    assert main(["e01", "--file", str(answer), "--seed", "3"]) == 1
    report = capsys.readouterr().out
    assert "WRONG" in report and "line 2 raised IndexError" in report and "--seed 3" in report
    assert "Traceback" not in report
    answer.write_text("def undo_broadcasting(:\n")
    assert main(["e01", "--file", str(answer)]) == 1
    assert "line 1: SyntaxError" in capsys.readouterr().out


def test_score_card_takes_a_folder_of_answers(tmp_path, capsys):
    (tmp_path / "e06.py").write_text((EXERCISES["e06"].folder / "solution.py").read_text())
    assert main(["--all", "--answers", str(tmp_path)]) == 1
    assert f"1 of {len(EXERCISES)} solved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["e99"], "e01, e02"),
        (["broadcasting"], "e01, e02"),
        (["--file", "x.py"], "goes with one exercise"),
        (["e01", "--answers", "x"], "goes with --all"),
        (["--all", "--answers", "nowhere"], "no folder"),
    ],
)
def test_wrong_usage_is_refused_with_help(arguments, word, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert word in capsys.readouterr().err


def test_endless_answers_end(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(checking, "SECONDS", 0.3)
    answer = tmp_path / "endless.py"
    answer.write_text("def causal_taps(kernel_size, centre):\n    while True:\n        pass\n")
    assert main(["7", "--file", str(answer)]) == 1
    assert "does not come to an end" in capsys.readouterr().out


def test_no_solution_in_a_report(capsys):
    main(["e05", "--seed", "1"])
    report = capsys.readouterr().out
    assert "1 - decay**steps" not in report
